"""Living on a device: the systemd unit, readiness and watchdog, reload on SIGHUP."""
