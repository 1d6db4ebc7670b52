"""Pruning: setting weights to zero, and removing whole channels."""
