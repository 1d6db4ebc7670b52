"""Rules of quality: how much int8 may lose, and when a network makes pictures worse."""
