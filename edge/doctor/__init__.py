"""The doctor: what is wrong with this machine, and the command that repairs it."""
