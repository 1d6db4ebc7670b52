"""What users of a command see: options, log, progress, tables, reports. Secrets are hidden here."""
