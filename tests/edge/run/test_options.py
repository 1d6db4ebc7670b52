"""Options of a run, of the page and of cameras: what their repr shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from edge.cameras.network.url import CameraUrl
from edge.cameras.picamera.camera import PicameraOptions
from edge.cameras.synthetic import SyntheticOptions
from edge.cameras.v4l2.camera import V4l2Options
from edge.run.cli import run_command
from edge.run.degrade.ladder_denoiser import LadderOptions
from edge.run.options import RunOptions
from edge.sinks.spool.options import SpoolOptions
from edge.sinks.web import WebOptions

SECRET = "S3cret-Passw0rd"
URL = f"rtsp://admin:{SECRET}@10.0.0.9/live?token={SECRET}"


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(URL, token=SECRET),
        RunOptions(f"http://10.0.0.9/video?password={SECRET}", [URL, Path("clean.mp4")], host_name=[URL]),
        RunOptions(f"rtsp://admin:{SECRET} with spaces {SECRET}@10.0.0.9/live", token=f"@{SECRET}"),
        WebOptions.of("127.0.0.1:0", SECRET),
        CameraUrl.parse(URL),
        CameraUrl.parse(f"http://admin:{SECRET}@10.0.0.9/video?token={SECRET}"),
    ],
    ids=lambda options: type(options).__name__,
)
def test_no_repr_shows_a_token_or_a_password(options: object) -> None:
    for text in (repr(options), str(options), f"{options}", repr([options]), f"{options!r}"):
        assert SECRET not in text
    assert type(options).__name__ in repr(options)


@pytest.mark.parametrize("kind", [LadderOptions, PicameraOptions, SpoolOptions, SyntheticOptions, V4l2Options])
def test_the_other_options_have_no_place_for_a_secret(kind: Any) -> None:
    names = {each.name for each in dataclasses.fields(kind)}
    assert not names & {"token", "password", "url", "source", "user"}


def test_the_repr_of_a_runs_options_shows_what_differs_from_the_defaults() -> None:
    assert repr(RunOptions()) == "RunOptions()"
    told = repr(RunOptions("synthetic", ["web"], strength=0.5, token=SECRET))
    assert told == "RunOptions(source='synthetic', sink=['web'], strength=0.5, token='***')"


def test_the_options_of_a_run_have_the_names_and_defaults_of_the_command() -> None:
    import inspect

    parameters = inspect.signature(run_command).parameters
    fields = {each.name: each.default for each in dataclasses.fields(RunOptions)}
    assert list(fields) == [name for name in parameters if name not in ("context", "config", "json")]
    for name, default in fields.items():
        assert parameters[name].default == (None if default == () else default), name


def test_a_configuration_can_hold_all_of_them() -> None:
    from edge.config import options_of

    assert options_of(run_command).keys() == {each.name for each in dataclasses.fields(RunOptions)}
