"""Benchmarks of the parts that run on the device: frames, pages, processes, kernels."""
