"""What makes a run directory: training, both prunings, training for int8."""
