"""The live page and its endpoints: an HTTP server in its own thread, which gets frames from the sink `web`."""
