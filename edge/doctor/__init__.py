"""The doctor: finds faults of this machine, and names the commands that repair them."""
