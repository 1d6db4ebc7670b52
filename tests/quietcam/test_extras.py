"""Optional libraries: what is there is handed out, what is missing is named with its extra."""

from __future__ import annotations

import sys

import pytest

from quietcam.errors import MissingExtraError
from quietcam.extras import has_av, load_av, load_opencv, load_optional


def test_a_library_that_is_there_is_handed_out() -> None:
    cv2 = pytest.importorskip("cv2")
    assert load_opencv() is cv2


def test_a_module_inside_a_package_is_handed_out() -> None:
    io = pytest.importorskip("scipy.io", reason="needs the extra 'train'")
    assert load_optional("scipy.io") is io


@pytest.mark.parametrize(
    ("module", "extra"), [("cv2", "edge"), ("av", "video"), ("scipy.io", "train"), ("h5py", "train")]
)
def test_what_is_missing_is_named_with_its_extra(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = module.split(".")[0]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"extra '{extra}' \(missing: {package}\).*quietcam\[{extra}\]"):
        load_optional(module)


def test_a_library_that_cannot_be_loaded_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert not has_av()
    with pytest.raises(MissingExtraError, match="extra 'video'"):
        load_av()
