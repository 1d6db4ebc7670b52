"""Which encoder is chosen: that of a Raspberry Pi where it is there and works, else x264. No hardware was at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.raspberry_pi import H264_ENCODER
from edge.sinks.video import encoder
from edge.sinks.video.encoder import SOFTWARE, choose_encoder
from quietcam.errors import DeviceError

HARDWARE = "h264_v4l2m2m"


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with the encoder's device; the encoders that were opened, all of which work."""
    (tmp_path / "video11").mkdir()
    (tmp_path / "video11" / "name").write_text(f"{H264_ENCODER}\n")
    monkeypatch.setattr(encoder, "_NODES", tmp_path)
    monkeypatch.setattr(encoder._hardware, "works", True)
    names: list[str] = []
    monkeypatch.setattr(encoder, "_opens", lambda name, *_: names.append(name) or True)
    return names


def test_the_hardware_comes_first_where_it_fits(opened: list[str]) -> None:
    assert choose_encoder((640, 480), 30.0) == HARDWARE
    assert choose_encoder((1920, 1080), 30.0) == HARDWARE
    for size in ((2592, 1944), (32, 32)):
        assert choose_encoder(size, 30.0) == SOFTWARE
    assert opened == [HARDWARE, HARDWARE, SOFTWARE, SOFTWARE]


def test_without_its_device_it_is_never_opened(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "_NODES", tmp_path / "nothing")
    assert choose_encoder((640, 480), 30.0) == SOFTWARE
    assert opened == [SOFTWARE]


def test_once_it_failed_x264_takes_over(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder._hardware, "works", False)
    assert choose_encoder((640, 480), 30.0) == SOFTWARE
    assert opened == [SOFTWARE]


def test_without_any_the_remedy_is_told(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_opens", lambda *_: False)
    with pytest.raises(DeviceError, match="Remedy: pip install"):
        choose_encoder((640, 480), 30.0)
    assert opened == []
