"""The live page and its endpoints: an HTTP server in a thread of its own, fed by the sink `web`."""
