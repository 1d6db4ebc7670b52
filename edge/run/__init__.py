"""A run: camera, network and sinks work until the source ends or somebody stops them."""
