"""Measurements against peers and against bounds; each script prints its figures and appends them to results/."""
