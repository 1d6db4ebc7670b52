"""What is left of a real camera's noise in plain areas: ``python -m benchmarks.network.blotches PICTURE``."""
