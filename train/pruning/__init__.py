"""Pruning: weights that become zero, and whole channels that go."""
