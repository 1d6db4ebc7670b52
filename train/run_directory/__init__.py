"""The run directory: its lock, its checkpoint, its history, and reading a finished one."""
