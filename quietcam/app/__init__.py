"""The roof: the command line and the demo. Only here are the stages put together."""
