"""What people see of a command: options, progress, tables, reports. Secrets are hidden here."""
