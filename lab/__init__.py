"""A Debian guest under qemu in which quietcam meets real drivers, real boots and real power cuts: ``python -m lab``."""
