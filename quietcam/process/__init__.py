"""This process: how it ends, what native code writes to its error stream, and that it finds our packages first."""
