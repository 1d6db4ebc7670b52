"""Reports as single HTML files: they work offline, contain their pictures, and fit desktops and phones."""

from __future__ import annotations

import base64
from typing import Any

from quietcam.errors import DataError
from quietcam.image import Image, swap_red_blue

__all__ = ["picture_uri", "render_page"]


def render_page(package: str, template: str, **values: Any) -> str:
    """Fill ``templates/TEMPLATE`` of a package, which extends ``page.html.j2``, the frame of all reports.

    Templates may import and include others: of the package, and of this one. The same values give the same page.

    Raises:
        ModuleNotFoundError: jinja2 is not installed; the command line explains it as MissingExtraError.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("quietcam.terminal")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(values)


def picture_uri(picture: Image, quality: int | None = None) -> str:
    """A picture as the source of an ``<img>``: PNG, or JPEG with ``quality`` (1 to 100), for thumbnails."""
    import cv2

    suffix, kind, options = (
        (".png", "png", []) if quality is None else (".jpg", "jpeg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    )
    done, content = cv2.imencode(suffix, swap_red_blue(picture), options)
    if not done:
        raise DataError(f"OpenCV could not encode a picture of shape {picture.shape}.")
    return f"data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}"
