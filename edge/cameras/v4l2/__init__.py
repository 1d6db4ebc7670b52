"""USB and other Video4Linux cameras."""
