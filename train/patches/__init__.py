"""Training patches: their data sources, how these are mixed, and extra noise."""
