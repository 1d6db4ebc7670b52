"""A plain Debian that becomes a camera: the card that it boots from, and a container that boots it without qemu."""
