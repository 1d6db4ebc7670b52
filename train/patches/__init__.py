"""Training patches: which data, mixed how, with which extra noise."""
