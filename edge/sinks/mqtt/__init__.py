"""A run's state and events by MQTT, for home automation."""
