"""The doctor: what is wrong with this machine, and the exact command that mends it."""
