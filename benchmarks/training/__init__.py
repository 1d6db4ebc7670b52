"""How fast training is, and what pruning costs."""
