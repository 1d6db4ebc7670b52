"""Judges models by everything that a model that ships must reach: ``python -m benchmarks.network.quality``."""
