"""Pruning: setting weights to zero, and taking whole channels out."""
