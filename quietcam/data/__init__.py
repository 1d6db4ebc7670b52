"""Data sets: pictures on the disk, pairs of noisy and clean ones, splits by scene, crops."""
