"""The lab's own errors, and its exit codes."""

from __future__ import annotations

__all__ = ["ALL_GOOD", "FAILED", "MISSING", "USAGE", "CommandError", "GoneError", "LabError", "MissingError"]

ALL_GOOD, FAILED, USAGE, MISSING = 0, 1, 2, 4  # 3 means a quality gate elsewhere


class LabError(Exception):
    """Something that ends a scenario."""

    exit_code = FAILED


class MissingError(LabError):
    """A program of a Debian package is not installed."""

    exit_code = MISSING


class GoneError(LabError):
    """The guest ended, or did not answer in time."""


class CommandError(LabError):
    """A command in the guest failed that must not fail."""
