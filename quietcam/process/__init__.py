"""This process: how it ends, and what native code writes to its error stream."""
