"""Packed sets: patches cut once, stored as raw pixels, mapped into memory."""
