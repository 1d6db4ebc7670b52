"""The TensorFlow Lite runtime that is installed: which one, on what instructions, and what it does to Python's lock."""
