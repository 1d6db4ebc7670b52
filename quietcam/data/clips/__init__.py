"""Clips: frames of a scene in order, with noisy and clean sides: found, read, made."""
