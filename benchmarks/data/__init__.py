"""Noise: how well it is estimated and imitated."""
