"""A run as a systemd service: the unit, readiness and watchdog, reload on SIGHUP."""
