"""The degrade ladder: less work while the device is too hot or frames are late, and more again later."""
