"""The first boot: a boot partition that turns a plain Raspberry Pi OS into this camera, without a network."""
