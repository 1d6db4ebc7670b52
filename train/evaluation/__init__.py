"""Measures a network on pairs that it was not trained on."""
