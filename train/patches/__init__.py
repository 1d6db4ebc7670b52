"""Training patches: from which data, mixed how, with which extra noise."""
