"""Recognizes a file's kind by its first bytes; lists unsupported kinds of photographs and how to convert them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

__all__ = [
    "HEAD",
    "PICTURE_SUFFIXES",
    "Unread",
    "count_unread",
    "is_hidden",
    "is_picture",
    "kind_of",
    "unread_by_content",
    "unread_by_name",
]

HEAD = 64
"""How many bytes of a file are enough to know its kind."""

PICTURE_SUFFIXES = frozenset(
    {
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
    }
)
"""Files in a folder with these suffixes, in upper or lower case, are pictures. Their content decides their format."""

_HIDDEN_FOLDERS = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"}
)


@dataclass(frozen=True)
class Unread:
    """A kind of photograph that is not read, because not every installation has a decoder that reads it right.

    Attributes:
        name: its usual name.
        convert: the command that converts it to PNG.
    """

    name: str
    convert: str


_HEIC = Unread("HEIC", "heif-convert IN OUT.png")
_AVIF = Unread("AVIF", "avifdec IN OUT.png")
_RAW = Unread("camera raw", "darktable-cli IN OUT.png")
_JXL = Unread("JPEG XL", "djxl IN OUT.png")

_RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw"),
    *(".x3f", ".3fr", ".iiq", ".raw", ".gpr"),
)

_UNREAD: dict[str, Unread] = {
    **dict.fromkeys((".heic", ".heif", ".hif", ".heics"), _HEIC),
    **dict.fromkeys((".avif", ".avifs"), _AVIF),
    **dict.fromkeys(_RAW_SUFFIXES, _RAW),
    ".jxl": _JXL,
    **{
        suffix: Unread(name, "magick IN OUT.png")
        for suffix, name in {
            **dict.fromkeys((".jp2", ".j2k", ".jpf", ".jpx"), "JPEG 2000"),
            **{".gif": "GIF", ".psd": "Photoshop", ".exr": "OpenEXR", ".hdr": "Radiance", ".tga": "Targa"},
            **{".pbm": "PBM", ".pnm": "Netpbm"},
        }.items()
    },
}

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    b"crx ": _RAW,
    b"jpx ": _UNREAD[".jp2"],
}


def kind_of(head: bytes) -> str | None:
    """``"png"``, ``"jpeg"``, ``"webp"``, ``"tiff"``, ``"bmp"`` or ``"netpbm"``; None for any other kind.

    Args:
        head: the first ``HEAD`` bytes of the file, or more.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"BM"):
        return "bmp"
    return "netpbm" if head[:2] in (b"P5", b"P6") and head[2:3].isspace() else None


def unread_by_content(head: bytes) -> Unread | None:
    """The unsupported kind of a photograph, by its first bytes; None if it is not one of these kinds."""
    if head[4:8] == b"ftyp":
        (length,) = struct.unpack_from(">I", head)
        brands = [head[at : at + 4] for at in (8, *range(16, min(length, len(head)) - 3, 4))]
        # The first brand of HEIC and AVIF files is often the general "mif1".
        found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return None if brands[0] not in _BRANDS else _AVIF if _AVIF in found else found[0]
    starts = {
        b"\0\0\0\x0cJXL \r\n\x87\n": _JXL,
        b"\xff\x0a": _JXL,
        b"\0\0\0\x0cjP  \r\n\x87\n": _UNREAD[".jp2"],
        b"\xff\x4f\xff\x51": _UNREAD[".jp2"],
        b"GIF8": _UNREAD[".gif"],
        b"8BPS": _UNREAD[".psd"],
        b"v/1\x01": _UNREAD[".exr"],
        b"#?RADIANCE": _UNREAD[".hdr"],
        **dict.fromkeys((b"FUJIFILMCCD-RAW", b"FOVb", b"IIRO", b"IIRS", b"IIU\0"), _RAW),
    }
    return next((unread for start, unread in starts.items() if head.startswith(start)), None)


def unread_by_name(path: PurePath) -> Unread | None:
    """The unsupported kind of a photograph, by its name; None for hidden files and all other names."""
    return None if path.name.startswith(".") else _UNREAD.get(path.suffix.lower())


def is_picture(path: PurePath) -> bool:
    """Whether the name is that of a picture. Hidden files, such as macOS's ``._x.png`` in archives, are not."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def is_hidden(folder: str) -> bool:
    """Whether a folder's name marks it as not meant for users: hidden folders, a file server's thumbnails."""
    return folder.startswith(".") or folder.lower() in _HIDDEN_FOLDERS


def count_unread(paths: Iterable[PurePath]) -> list[tuple[str, str]]:
    """Photographs that are not read, one line for each kind.

    Returns:
        The first one's path, and their number with what to do: ``("b.HEIC", "3 HEIC photos are not read; …")``.
    """
    kinds: dict[Unread, list[PurePath]] = {}
    for path in paths:
        if (unread := unread_by_name(path)) is not None:
            kinds.setdefault(unread, []).append(path)
    return [
        (
            str(found[0]),
            f"{len(found)} {kind.name} {'photo is' if len(found) == 1 else 'photos are'} not read; "
            f"convert {'it' if len(found) == 1 else 'them'}, for example: {kind.convert}",
        )
        for kind, found in kinds.items()
    ]
