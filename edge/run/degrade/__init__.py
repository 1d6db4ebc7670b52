"""Less work while the device is too hot or frames come late, and more again later."""
