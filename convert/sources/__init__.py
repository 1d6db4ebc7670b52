"""Loads what can be converted: Keras models of every kind, and finished model files."""
