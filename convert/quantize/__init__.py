"""How int8 is made: ranges, biases, equalization, and what it loses."""
