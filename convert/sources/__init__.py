"""What can be converted: Keras models of every kind, and model files that are finished."""
