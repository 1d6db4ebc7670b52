"""How a device takes over another bundle of models and settings: bundles, fetching, slots."""
