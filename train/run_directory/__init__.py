"""The run directory: its lock, its state, and what a finished one holds."""
