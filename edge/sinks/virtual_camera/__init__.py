"""A virtual camera: other programs see the denoised frames as those of a camera, through v4l2loopback."""
