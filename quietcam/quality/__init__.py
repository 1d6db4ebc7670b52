"""How good is good enough: what int8 may lose, and when a network makes pictures worse."""
