"""A network on the device: its model file, the interpreters that run it, and the denoiser for frames of any size."""
