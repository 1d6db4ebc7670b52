"""Configuration files: TOML with the options of a command, between its environment and its defaults."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from quietcam.errors import UsageError
from quietcam.files.regular import read_regular_text
from quietcam.files.strict_toml import parse_toml
from quietcam.terminal.log import log
from quietcam.terminal.secret_names import is_secret
from quietcam.terminal.secrets import shown, shown_values

__all__ = ["Config", "options_of", "read_config"]

_NOT_IN_FILES = frozenset({"config", "json", "help"})
_MEANINGS: dict[type, str] = {
    list: "text, or a list of texts",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    Path: "text in quotes",
}


class Config(dict[str, Any]):
    """The checked values of a file, by option name."""


def options_of(command: Callable[..., Any]) -> dict[str, type]:
    """The options of a command's function that a file may set, and their types: ``str``, ``int``, ``list`` …"""
    kinds = {name: _kind(hint) for name, hint in get_type_hints(command).items()}
    return {name: kind for name, kind in kinds.items() if kind in _MEANINGS and name not in _NOT_IN_FILES}


def read_config(path: Path, options: Mapping[str, type]) -> Config:
    """Read and check ``path``.

    Args:
        options: as ``options_of`` gives them.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has an unknown key or a value of the wrong type.
    """
    text = _read(path)
    try:
        values = parse_toml(text)
    except ValueError as error:
        raise UsageError(
            f"A configuration must be TOML. Received: {path}: {error}. "
            'Remedy: write lines such as sink = "web"; `python -P -m edge.service config` prints an example.'
        ) from None
    for key, value in values.items():
        if key not in options:
            near = _nearest(key, options)
            raise UsageError(
                f"A configuration has the keys {', '.join(sorted(options))}. Received: {path}: {key}. "
                f"Remedy: {f'is {near} meant?' if near else 'remove it.'}"
            )
        kind = options[key]
        if not _fits(value, kind):
            raise UsageError(f"{key} must be {_MEANINGS[kind]}. Received: {path}: {key} = {_shown(key, value)}.")
    _warn_of_secrets(path, values)
    return Config(
        {key: [value] if options[key] is list and isinstance(value, str) else value for key, value in values.items()}
    )


def _read(path: Path) -> str:
    try:
        return read_regular_text(path)
    except OSError as error:
        raise UsageError(
            f"A configuration must be a readable file. Received: {path}: {error.strerror}. "
            "Remedy: check the path; `python -P -m edge.service config` prints an example."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(
            f"A configuration must be UTF-8 text. Received: {path}, which is not. Remedy: save it as UTF-8."
        ) from None


def _kind(hint: Any) -> Any:
    """``str`` of ``str | None``, ``list`` of ``list[str] | None``."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    if get_origin(hint) in (Union, UnionType) and len(kinds) == 1:
        return _kind(kinds[0])
    return get_origin(hint) or hint


def _fits(value: Any, kind: type) -> bool:
    if kind is list:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, str)
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _nearest(key: str, known: Iterable[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(key.replace("-", "_"), list(known), 1)), None)


def _shown(key: str, value: Any) -> str:
    """A value of the wrong type, unless it is a secret: it may be a token that only lacks its quotes."""
    if is_secret(key):
        return "a value that is not shown"
    values = value if isinstance(value, list) else [value]
    told = [repr(shown(each, whole=True) if isinstance(each, str) else shown_values(each)) for each in values]
    text = shown(f"[{', '.join(told)}]" if isinstance(value, list) else told[0])
    return text if len(text) <= 60 else f"{text[:57]}…"


def _warn_of_secrets(path: Path, values: dict[str, Any]) -> None:
    """Warn of a secret that every user can read. What names another file, or asks for a new token, is none."""
    for key, value in values.items():
        hidden = is_secret(key) and isinstance(value, str) and value not in ("", "auto") and not value.startswith("@")
        if hidden and path.stat().st_mode & stat.S_IROTH:
            log.warning(
                "%s holds a %s and every user can read it. Remedy: chmod 640 %s, or set QUIETCAM_%s instead",
                path,
                key,
                path,
                key.upper(),
            )
