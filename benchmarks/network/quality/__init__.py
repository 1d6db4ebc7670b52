"""Judges models by all that those that ship must reach: ``python -m benchmarks.network.quality``."""
