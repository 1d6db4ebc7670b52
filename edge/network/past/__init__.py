"""The past of a frame: whether what a video network remembers explains it, or has to be forgotten."""
