"""The repr of a camera, a sink or the page never shows a password or a token."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import pytest

from edge.cameras import open_camera
from edge.cameras.base import Camera
from edge.cameras.network.url import CameraUrl
from edge.sinks.web import WebOptions
from quietcam.terminal.secret_names import is_secret

SECRET = "quiet-secret-1234"
URL = f"rtsp://owner:{SECRET}@camera.invalid/live?token={SECRET}"


def test_neither_options_nor_cameras_show_a_secret() -> None:
    shown = [WebOptions.of("0.0.0.0:0", SECRET), CameraUrl.parse(URL)]
    for each in shown:
        assert SECRET not in f"{each!r} {each}"
    camera: Camera = open_camera(URL)
    assert SECRET not in f"{camera!r} {camera.name} {camera.state!r}"


def _options() -> list[type]:
    """Every dataclass of cameras, sinks and the page."""
    found = set()
    for package in ("edge.cameras", "edge.sinks", "edge.web"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            for each in vars(importlib.import_module(module.name)).values():
                if isinstance(each, type) and dataclasses.is_dataclass(each) and each.__module__.startswith("edge."):
                    found.add(each)
    return sorted(found, key=lambda each: each.__qualname__)


@pytest.mark.parametrize("options", _options(), ids=lambda each: each.__qualname__)
def test_a_field_that_is_called_like_a_secret_is_left_out_of_the_repr(options: type) -> None:
    shown = {field.name for field in dataclasses.fields(options) if field.repr}
    assert not {name for name in shown if is_secret(name)}
