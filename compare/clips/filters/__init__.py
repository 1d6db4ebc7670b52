"""Classical video filters that take part in a comparison on clips."""
