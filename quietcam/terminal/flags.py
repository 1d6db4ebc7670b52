"""Messages of the library name parameters in backticks; the command line shows its own options in their place."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["flags_named", "flags_of", "with_flags"]

_PARAMETER = re.compile(r"`([A-Za-z][\w-]*)(?:=([^`]*))?`")

_commands: list[Callable[[], Mapping[str, str]]] = []  # of this process, the innermost last


@contextlib.contextmanager
def flags_named(flags: Callable[[], Mapping[str, str]]) -> Iterator[None]:
    """While the block runs, ``with_flags`` uses these flags, in every thread.

    Args:
        flags: returns the result of :func:`flags_of`. It is called once, when a message first names a parameter.
    """
    known: list[Mapping[str, str]] = []

    def once() -> Mapping[str, str]:
        if not known:
            known.append(flags())
        return known[0]

    _commands.append(once)
    try:
        yield
    finally:
        _commands.remove(once)


def flags_of(command: Any, words: Sequence[str]) -> dict[str, str]:
    """The options of the command that ``words`` run, by the names of their parameters.

    Args:
        command: the click group of the whole command line.
        words: the command line without the program's name.

    Returns:
        From ``out`` to ``--out``, from ``max_drop`` and ``max-drop`` to ``--max-drop``, and from the name of a
        positional argument to the word that its help shows, as ``SOURCE``.
    """
    for word in words:
        if word.startswith("-"):
            continue
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command = inner
    flags: dict[str, str] = {}
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = (parameter.metavar or parameter.name or "").strip("[]. ").upper()
        else:
            shown = max(parameter.opts, key=len)
        names = [parameter.name or "", *parameter.opts]
        flags.update((_key(name), shown) for name in names)
        flags.update((_key(each), each) for each in parameter.secondary_opts)
    return flags


def with_flags(text: str) -> str:
    """``text`` with each `` `parameter` `` written as the running command's option.

    `` `size=64` `` becomes ``--size 64`` and `` `force=True` `` becomes ``--force``. Other words in backticks stay.
    """
    if "`" not in text or not _commands:
        return text
    flags = _commands[-1]()

    def written(found: re.Match[str]) -> str:
        name, value = _key(found[1]), found[2]
        if value == "False" and (off := flags.get(f"no_{name}")) is not None:
            return off
        flag = flags.get(name)
        if flag is None:
            return found[0]
        return flag if value in (None, "True") else f"{flag} {value}"

    return _PARAMETER.sub(written, text)


def _key(name: str) -> str:
    return name.lstrip("-").replace("-", "_")
