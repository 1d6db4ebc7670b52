"""Shortens the errors that TensorFlow, Keras and the TFLite converter raise for a model to one line.

They raise many kinds of errors: a ``ValueError`` that begins with "in user code:" and a traceback, a ``ConverterError``
followed by the whole graph, a special ``TypeError``. From each of these, this module extracts the operator and the
layer that the error is about.
"""

from __future__ import annotations

import re

__all__ = ["explain"]

_LONGEST = 240
_OPS = re.compile(r"(?:Flex|Custom) ops?: *([^\n]+)")
_LISTED = re.compile(r"tf\.([A-Z]\w*)")
_LAYER = re.compile(r"""(?:Exception encountered when calling layer|Layer|layer) ['"]([\w./-]+)['"]""")
_PLACE = re.compile(r'loc\((?:fused\[[^\]]*?)?"([^"@]+)')
_FAILED = re.compile(r"error: '?([\w.]+)'? op ([^\n]+)")
_RAISED = re.compile(r"^\s*(?:\w+\.)*(?:\w*Error|\w*Exception):\s*(\S.*)$", re.MULTILINE)
_HEADS = re.compile(r"\s*(in user code:|Exception encountered when calling|Call arguments received)")
_NOISE = re.compile(r"\{\{[^}]*\}\}|\[Op:[^\]]*\]|<[^<>]*>|\x1b\[[0-9;]*m")


def explain(error: Exception) -> str:
    """One line without a full stop: which operator or layer, and why."""
    text = str(error)
    named = [part.split("/")[0].split("{")[0].strip() for each in _OPS.findall(text) for part in each.split(",")]
    operators = list(dict.fromkeys([*(each.removeprefix("Flex") for each in named if each), *_unlegal(text)]))
    if operators:
        return f"TFLite has no operator for {', '.join(operators[:4])}{_where(text)}"
    if failed := _FAILED.search(text):
        return _short(f"the operator {failed[1].rsplit('.', 1)[-1]}{_where(text)}: {failed[2]}")
    raised = _RAISED.findall(text)
    lines = [raised[-1]] if raised else [line for line in text.splitlines() if line.strip()]
    said = next((line for line in lines if not _HEADS.match(line)), type(error).__name__)
    layer = _LAYER.search(text)
    return _short(said if layer is None or layer[1] in said else f"layer {layer[1]}: {said}")


def _unlegal(text: str) -> list[str]:
    """Operators that the converter lists as those it could not convert."""
    if "failed to legalize" not in text and "neither a custom op nor a flex op" not in text:
        return []
    listed = re.findall(r"(?:failed to legalize operation|error:) '?tfl?\.(\w+)'?", text)
    return [each[:1].upper() + each[1:] for each in listed] or _LISTED.findall(text)[:1]


def _where(text: str) -> str:
    """The layer that the converter names: the second to last part of the longest path among its locations."""
    places = [each.strip("/") for each in _PLACE.findall(text)]
    parts: list[str] = max((each.split("/") for each in places), key=len, default=[])
    return f" (layer {parts[-2]})" if len(parts) > 1 else ""


def _short(text: str) -> str:
    words = " ".join(_NOISE.sub("", text).split())
    return (words if len(words) <= _LONGEST else f"{words[:_LONGEST].rsplit(' ', 1)[0]} …").rstrip(". ")
