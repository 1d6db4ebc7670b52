"""Captions inside picture files."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.data.pictures.caption import caption_of, with_caption
from quietcam.data.pictures.files import decode_picture, encode_picture
from tests.small_models import picture


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300))
def test_it_is_read_back_and_no_pixel_changes(suffix: str, text: str) -> None:
    plain = encode_picture(picture(9, 14, seed=1), suffix)
    said = with_caption(plain, text)
    assert caption_of(said) == text
    assert caption_of(plain) is None
    np.testing.assert_array_equal(
        decode_picture(said, "a file"),  # type: ignore[arg-type]  # walks chunks and sums
        cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR)[..., ::-1],
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_others_read_it_too(suffix: str) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install pillow")
    said = with_caption(encode_picture(picture(8, 8), suffix), '{"quietcam": {"share": 1.0}}')
    with pillow.open(io.BytesIO(said)) as opened:
        opened.load()
        found = opened.info["Comment" if suffix == ".png" else "comment"]
    assert (found if isinstance(found, str) else found.decode()) == '{"quietcam": {"share": 1.0}}'


def test_it_stands_behind_the_segment_that_jfif_wants_first() -> None:
    plain = encode_picture(picture(8, 8), ".jpg")
    assert plain[2:4] == b"\xff\xe0", "OpenCV writes JFIF"
    assert with_caption(plain, "x")[:20] == plain[:20]
