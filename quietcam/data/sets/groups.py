"""Groups pairs for scores: by phone, ISO and brightness, if these are known from a pair's name and picture."""

from __future__ import annotations

from quietcam.data.sets.pairs import Pair
from quietcam.image import Image, to_gray

__all__ = ["Group", "group_order", "groups_of", "iso_bucket"]

Group = tuple[str, str]
"""Kind and value: ``("iso", "401-1600")``."""

_ISO_EDGES = (100, 400, 1600, 6400)
_PHONES = {"GP": "Google Pixel", "IP": "iPhone 7", "S6": "Galaxy S6 Edge", "N6": "Nexus 6", "G4": "LG G4"}
_BRIGHTNESS = {"L": "low light", "N": "normal light", "H": "high light"}
_ORDER = ("up to", "101-", "401-", "1601-", "above", "low", "normal", "high", "dark", "middle", "bright")


def groups_of(pair: Pair, clean: Image) -> list[Group]:
    """The groups of a picture. Facts missing in its name are left out; brightness is then measured on ``clean``."""
    instance = pair.instance
    if instance is None:
        mean = float(to_gray(clean).mean())
        level = "dark (mean under 64)" if mean < 64 else "middle" if mean < 128 else "bright (mean from 128)"
        return [("brightness", level)]
    return [
        ("phone", f"{instance.phone} ({_PHONES[instance.phone]})" if instance.phone in _PHONES else instance.phone),
        ("iso", iso_bucket(instance.iso)),
        ("brightness", _BRIGHTNESS.get(instance.brightness, instance.brightness)),
    ]


def iso_bucket(iso: int) -> str:
    """The ISO bucket, two stops wide:  ``up to 100``, ``101-400``, ``401-1600``, ``1601-6400``, ``above 6400``."""
    low = 0
    for edge in _ISO_EDGES:
        if iso <= edge:
            return f"up to {edge}" if not low else f"{low + 1}-{edge}"
        low = edge
    return f"above {low}"


def group_order(group: Group) -> tuple[str, int, str]:
    """Sort key of a group: ascending if values have an order, otherwise by name."""
    kind, value = group
    return kind, next((place for place, start in enumerate(_ORDER) if value.startswith(start)), 0), value
