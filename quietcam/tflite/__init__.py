"""Model files, read and changed in one place: outline, graph, manifest, scales, activations."""
