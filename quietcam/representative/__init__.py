"""The representative set: its file, the linter, and the audit against the data it was cut from."""
