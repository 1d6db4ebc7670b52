"""The do-no-harm gate: how noisy the frames are, and the network's share in the picture."""
