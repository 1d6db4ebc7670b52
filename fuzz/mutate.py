"""Damages bytes, texts and JSON values at random."""

from __future__ import annotations

import copy
import json
import math
from random import Random
from typing import Any

__all__ = ["mutate_bytes", "mutate_json", "odd_text", "odd_value", "spelled"]

_NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 2**63, 10**30),
    *(0.0, -0.0, 0.5, 1.5, -1e-9, 1e-320, 1e22, 1e308, math.nan, math.inf, -math.inf),
)
_TEXTS = (
    *(
        "",
        " ",
        ".",
        "..",
        "../../x",
        "/etc/passwd",
        "a\x00b",
        "\x1b[2J\x07",
        "line\nline",
        "\u202egnp",
        "é",
        "\U0001f600",
    ),
    *("\ud800", "\udce9", "%s%n{0}{x}", "*?[", "NaN", "true", "1e999", "-1", "x" * 300, "x" * 70_000, '"', "\\", "'"),
)


def mutate_bytes(random: Random, content: bytes) -> bytes:
    """``content`` with one to eight of its bytes or stretches flipped, cut, doubled, moved or replaced."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4, 8))):
        size = len(changed)
        at = random.randrange(size + 1)
        to = min(size, at + random.choice((1, 1, 2, 4, 16, 256)))
        match random.randrange(7):
            case 0 if at < size:
                changed[at] ^= 1 << random.randrange(8)
            case 1 if at < size:
                changed[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 2:
                del changed[at:to]
            case 3:
                del changed[at:]
            case 4:
                changed[at:at] = changed[at:to]
            case 5:
                changed[at:at] = random.randbytes(random.choice((1, 2, 4, 64)))
            case _:
                piece = changed[at:to]
                del changed[at:to]
                where = random.randrange(len(changed) + 1)
                changed[where:where] = piece
    return bytes(changed)


def odd_text(random: Random) -> str:
    """An unusual text."""
    if random.random() < 0.6:
        return random.choice(_TEXTS)
    return "".join(
        chr(random.choice((random.randrange(128), random.randrange(0x800)))) for _ in range(random.randrange(9))
    )


def odd_value(random: Random, depth: int = 0) -> Any:
    """An unusual JSON value, NaN and infinities included."""
    match random.randrange(8 if depth < 3 else 5):
        case 0:
            return random.choice((None, True, False))
        case 1 | 2:
            return random.choice(_NUMBERS)
        case 3:
            return odd_text(random)
        case 4:
            return random.choice((random.randrange(-300, 300), random.uniform(-10, 10)))
        case 5:
            return [odd_value(random, depth + 1) for _ in range(random.choice((0, 1, 3)))]
        case 6:
            return {odd_text(random): odd_value(random, depth + 1) for _ in range(random.choice((0, 1, 3)))}
        case _:
            value: Any = []
            for _ in range(random.choice((10, 100, 500))):
                value = [value] if random.random() < 0.5 else {"a": value}
            return value


def mutate_json(random: Random, value: Any) -> Any:
    """A copy of ``value`` in which one to four places, at any depth, are replaced, removed or added."""
    root = [copy.deepcopy(value)]
    for _ in range(random.choice((1, 1, 2, 4))):
        spot, key = _place(random, root)
        match random.randrange(5):
            case 0 if spot is not root:
                del spot[key]
            case 1 if isinstance(spot, dict):
                spot[odd_text(random)] = spot[key]
            case 2 if isinstance(spot[key], str) and spot[key]:
                at = random.randrange(len(spot[key]))
                spot[key] = spot[key][:at] + odd_text(random) + spot[key][at + 1 :]
            case 3 if isinstance(spot[key], int | float):
                spot[key] = random.choice(
                    (-spot[key], float(spot[key]), spot[key] * 1000, spot[key] + 1, str(spot[key]))
                )
            case _:
                spot[key] = odd_value(random)
    return root[0]


def spelled(random: Random, value: Any) -> str:
    """``value`` as JSON, or nearly: NaN and halves of surrogate pairs as Python writes them, or one key twice."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.7, indent=random.choice((None, 1)))
    if random.random() < 0.05:
        text = text.replace('"format": 1', '"format": 1, "format": 2', 1)
    return text


def _place(random: Random, root: list[Any]) -> tuple[Any, Any]:
    """A container inside ``root``, and one of its keys or indices."""
    spot: Any = root
    key: Any = 0
    while isinstance(spot[key], dict | list) and spot[key] and random.random() < 0.75:
        spot = spot[key]
        key = random.choice(list(spot)) if isinstance(spot, dict) else random.randrange(len(spot))
    return spot, key
