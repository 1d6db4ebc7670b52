"""The file that makes a folder a clip: ``clip.json``, beside the folders of its two sides.

An empty object, ``{}``, is enough. ``scene`` names what the clip shows, where several clips show the same: a split
keeps them on one side. What else ``quietcam data generate`` writes there tells people how the clip was made.
"""

from __future__ import annotations

from quietcam.errors import DataError, JsonError
from quietcam.files.strict_json import parse_object

__all__ = ["MARK", "scene_of_mark"]

MARK = "clip.json"


def scene_of_mark(content: bytes, place: object) -> str:
    """The scene that the file names; empty where it names none.

    Raises:
        DataError: it is no JSON object, or its scene is no text.
    """
    try:
        scene = parse_object(content).get("scene", "")
    except JsonError as error:
        raise DataError(
            f"{MARK} must hold a JSON object. Received: {place} ({error}). Remedy: write {{}} there."
        ) from None
    if not isinstance(scene, str):
        raise DataError(f"The scene of a clip must be text. Received: {place}, {scene!r}. Remedy: put it in quotes.")
    return scene
