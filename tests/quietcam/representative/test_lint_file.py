"""lint_file(): the command's work for a notebook, with nothing printed."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

from quietcam.errors import UsageError
from quietcam.representative import lint as lint_module
from quietcam.representative import lint_file as module
from quietcam.representative.lint import lint
from quietcam.representative.lint_file import lint_file
from quietcam.representative.set import save_set
from tests.quietcam.representative.test_lint import set_of


def test_a_file_is_linted_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "blank.npz"
    np.savez(file, images=np.zeros((20, 64, 64, 3), np.uint8), labels=np.zeros(20))
    report = lint_file(str(file))
    assert [finding.name for finding in report.errors] == ["constant"]
    assert not report.sound
    assert report.array.key == "images"
    assert report.to_dict()["audit"] is None
    assert capsys.readouterr() == ("", "")


def test_lint_takes_the_file_of_a_set_or_of_an_array(tmp_path: Path) -> None:
    blank = np.zeros((20, 64, 64, 3), np.uint8)
    np.save(tmp_path / "blank.npy", blank)
    assert lint(tmp_path / "blank.npy") == lint(str(tmp_path / "blank.npy")) == lint(blank)
    noisy = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
    chosen = set_of(noisy, {"capture": {"isp_denoise": True}})
    save_set(tmp_path / "set.npz", chosen)
    assert "isp-denoise" in [finding.name for finding in lint(tmp_path / "set.npz")]
    assert lint(tmp_path / "set.npz") == lint(chosen)
    with pytest.raises(UsageError, match="does not exist"):
        lint(tmp_path / "missing.npz")


def test_a_key_and_data_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Received: `key` and `data`\. Remedy"):
        lint_file(tmp_path / "any.npz", data=tmp_path, key="images")


@pytest.mark.parametrize("documented", [module, lint_module])
def test_the_examples_run(documented: object) -> None:
    found = doctest.testmod(documented)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed
