"""What runs on the device: frames, pages, processes, kernels."""
