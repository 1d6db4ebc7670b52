"""A network on the device: its file, interpreters and devices, and what becomes of a frame."""
