"""Creates run directories: training, magnitude and channel pruning, training for int8."""
