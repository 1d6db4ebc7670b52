"""The slots of a device: which bundle is in use, on trial or refused, and how a run takes it up and judges it."""
