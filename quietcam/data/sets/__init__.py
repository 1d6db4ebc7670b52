"""Data sets as people have them: which pictures belong together, what is broken, how they are split."""
