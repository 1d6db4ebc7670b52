"""Simulates cameras: noise, the image pipeline, and scenes."""
