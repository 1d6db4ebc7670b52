"""The options of `quietcam run` that a configuration file gives, and that a reload may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from edge.config import Config, options_of, read_config
from edge.run.options import RunOptions
from quietcam.terminal.log import log

__all__ = ["RELOADABLE", "Settings", "use_config"]

RELOADABLE = ("model", "strength")
"""Keys that take effect at a reload. Other keys take effect at a restart."""

_FIXED = ("COMMANDLINE", "ENVIRONMENT")  # where an option comes from that overrides the file


def use_config(context: typer.Context, path: Path | None) -> Path | None:
    """Callback of an eager option ``config``: the file's values become the command's defaults."""
    if path is not None:
        context.default_map = {**(context.default_map or {}), **read_config(path, _options(context))}
    return path


class Settings:
    """Reads the file again and applies the values that a reload may change.

    Args:
        context: context of the running command.
        path: the file. None: there is no file, and a reload reads the model's file again.
    """

    def __init__(self, context: typer.Context, path: Path | None) -> None:
        self._context, self._path = context, path
        self._options = _options(context)
        self._now: dict[str, Any] = {key: context.params.get(key) for key in RELOADABLE}
        self._fixed = {
            name for name in self._options if getattr(context.get_parameter_source(name), "name", "") in _FIXED
        }
        self._file = Config(context.default_map or {}) if path else Config()

    @property
    def from_file(self) -> bool:
        """Whether there is a file to read again."""
        return self._path is not None

    def completed(self, options: RunOptions, values: Mapping[str, Any]) -> RunOptions:
        """``options`` with those of ``values`` that neither a flag, the environment nor the file gives."""
        given = {
            name for name in values if getattr(self._context.get_parameter_source(name), "name", "DEFAULT") != "DEFAULT"
        }
        return replace(options, **{name: value for name, value in values.items() if name not in given})

    def reread(self, apply: Callable[[str | None, float | None], None]) -> None:
        """Call ``apply`` with the model and the strength. The strength is None if it has not changed in the file: the
        value that was set on the page then stays. Changes that need a restart are logged.

        Raises:
            UsageError: the file is wrong; nothing was applied.
            QuietcamError: raised by ``apply``.
        """
        if self._path is None:
            apply(self._now["model"], None)
            return
        from edge.network.gate.harm import check_strength

        file = read_config(self._path, self._options)
        defaults: dict[str, Any] = {"model": None, "strength": 1.0}
        wanted: dict[str, Any] = {
            key: self._now[key] if key in self._fixed else file.get(key, defaults[key]) for key in RELOADABLE
        }
        check_strength(wanted["strength"])
        changed = wanted["strength"] != self._now["strength"]
        apply(wanted["model"], wanted["strength"] if changed else None)
        later = sorted(
            key
            for key in file.keys() | self._file.keys()
            if key not in RELOADABLE and key not in self._fixed and file.get(key) != self._file.get(key)
        )
        if later:
            log.warning("Changed in %s, but used only after a restart: %s", self._path, ", ".join(later))
        self._now, self._file = wanted, file


def _options(context: typer.Context) -> dict[str, type]:
    callback = context.command.callback
    return {} if callback is None else options_of(callback)
