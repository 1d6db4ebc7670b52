"""Makes int8 from float: ranges, biases, equalization; measures what int8 loses and remedies it."""
