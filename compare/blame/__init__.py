"""Which layer int8 hurts, and why."""
