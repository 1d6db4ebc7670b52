"""The lab's card: what is prepared is in the image, and a text of it is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.card.systems import SYSTEMS
from deploy.card.wheels import Wheel, WheelSet, hash_of, write_list
from lab.errors import LabError
from lab.plain.card import SYSTEM, fresh_boot, make_card
from lab.tools import find

if not all(map(find, ("mkfs.vfat", "mcopy"))):
    pytest.skip("needs Debian's dosfstools and mtools", allow_module_level=True)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "quietcam-0.1.0-py3-none-any.whl"
    path.write_bytes(b"only bytes")
    own = Wheel(path.name, "quietcam", "0.1.0", hash_of(path))
    write_list(folder, WheelSet(SYSTEMS[SYSTEM], ("edge",), (own,)))
    return folder


def test_a_card_holds_what_was_prepared(tmp_path: Path, wheels: Path) -> None:
    boot = fresh_boot(tmp_path / "boot")
    card = make_card(boot, tmp_path / "card.img", "--wheels", str(wheels))
    assert card.read("settings") == (boot / "quietcam/settings").read_text()
    assert card.read("wheels/quietcam-0.1.0-py3-none-any.whl") == "only bytes"
    assert card.read("first-boot.txt") == ""
    other = card.copy(tmp_path / "other.img")
    assert other.image.read_bytes() == card.image.read_bytes()
    assert str(other.image) in other.drive[1]


def test_words_that_card_prepare_refuses_end_the_scenario(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"(?s)card prepare.*wheels"):
        make_card(fresh_boot(tmp_path / "boot"), tmp_path / "card.img", "--wheels", str(tmp_path / "none"))
