"""The device in a guest: the shipped service with a camera, a release for it, and what its disk holds."""
