"""Facts about the Raspberry Pi: its name, and its firmware's number in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.raspberry_pi import (
    CODECS_AND_ISP,
    RIBBON_CAMERA,
    THROTTLED,
    board_name,
    throttled_bits,
    throttled_now,
    throttled_since_boot,
)


def test_every_bit_has_a_meaning_of_its_own_and_others_have_none() -> None:
    """Raspberry Pi's documentation: bits 0 to 3 are now, 16 to 19 since boot; others mean nothing."""
    now = [throttled_now(1 << bit) for bit in range(32)]
    since_boot = [throttled_since_boot(1 << bit) for bit in range(32)]
    assert now == [[words] for words in THROTTLED.values()] + [[]] * 28
    assert since_boot == [[]] * 16 + [[words] for words in THROTTLED.values()] + [[]] * 12
    assert len(set(THROTTLED.values())) == 4


@pytest.mark.parametrize("text", ["throttled=0x50005\n", "50005", "0x50005"])
def test_the_commands_answer_and_the_files_are_one_number(text: str) -> None:
    assert throttled_bits(text) == 0x50005


@pytest.mark.parametrize("text", ["", "error=1 error_msg", "throttled=perhaps"])
def test_another_answer_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        throttled_bits(text)


def test_a_device_that_is_not_a_camera_is_none_for_opencv_either() -> None:
    assert set(CODECS_AND_ISP) < set(RIBBON_CAMERA)


def test_the_board_says_its_name(tmp_path: Path) -> None:
    assert board_name(tmp_path) == ""
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    assert board_name(tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"
