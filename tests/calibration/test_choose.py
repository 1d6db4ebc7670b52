"""calibrate(): the command's work for a notebook, with nothing printed."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pytest

from calibration import choose
from calibration.choose import calibrate
from quietcam.errors import UsageError
from quietcam.representative.set import load_set


def test_a_set_comes_back_with_its_coverage(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rep.npz"
    found = calibrate(str(pictures), count=12, size=16, out=str(out))
    assert found.representative.patches.shape == (12, 16, 16, 3)
    assert found.coverage.patches == 12
    assert load_set(out).digest == found.representative.digest
    report = json.loads(json.dumps(found.to_dict(out), allow_nan=False))
    assert report["sha256"] == found.representative.digest
    assert capsys.readouterr().out == ""


def test_a_set_is_rebuilt_from_its_file(pictures: Path, tmp_path: Path) -> None:
    first = calibrate(pictures, count=12, size=16, seed=3, out=tmp_path / "rep.npz")
    again = calibrate(pictures, rebuild=tmp_path / "rep.npz")
    np.testing.assert_array_equal(again.representative.patches, first.representative.patches)
    assert again.coverage == first.coverage


def test_gray_patches_have_one_channel(pictures: Path) -> None:
    assert calibrate(pictures, count=4, size=16, gray=True).representative.channels == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": "rep.tflite"}, r"`out` is an \.npz file.*`out=rep\.npz`"),
        ({"count": 0}, r"`count` must be at least 1\. Received: 0"),
        ({"size": 8}, r"`size` must be at least 16\. Received: 8"),
        ({"count": 100_000, "size": 4096}, r"2 GiB of memory\. Received: `count=100000` `size=4096`"),
    ],
)
def test_options_that_cannot_be_name_the_parameter(pictures: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        calibrate(pictures, **options)  # type: ignore[arg-type]


def test_the_example_runs() -> None:
    found = doctest.testmod(choose)
    assert found.attempted
    assert not found.failed
