"""A run: camera, network and sinks at work until somebody stops them."""
