"""Wheels are gathered for another machine: by the real pip, from a package index that is a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from deploy.card.fetch import fetch
from deploy.card.systems import SYSTEMS, find_system
from deploy.card.wheels import LIST, hash_of, read_wheels
from quietcam.errors import DataError, UsageError

OWN = "quietcam-0.1.0-py3-none-any.whl"


def make_wheel(folder: Path, file: str, *requires: str) -> Path:
    """A wheel that installs nothing, and needs what ``requires`` says."""
    folder.mkdir(parents=True, exist_ok=True)
    name, version = file.split("-")[:2]
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: edge\n"]
    lines += [f"Requires-Dist: {each}\n" for each in requires]
    with zipfile.ZipFile(folder / file, "w") as archive:
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "".join(lines))
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return folder / file


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only package index there is: numpy for two machines, and packages for older Pythons and for newer ones."""
    files = {
        "numpy": [
            *(f"numpy-2.4.0-cp313-cp313-manylinux_2_28_{machine}.whl" for machine in ("aarch64", "x86_64")),
            *(f"numpy-{version}-cp311-cp311-manylinux_2_28_aarch64.whl" for version in ("1.26.4", "2.4.0")),
        ],
        "older": ["older-1.0-py3-none-any.whl"],
        "newer": ["newer-1.0-py3-none-any.whl"],
    }
    for project, names in files.items():
        folder = tmp_path / "index" / project
        links = [f'<a href="{name}#sha256={hash_of(make_wheel(folder, name))}">{name}<' + "/a>" for name in names]
        (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links))
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "index"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return make_wheel(
        tmp_path / "own",
        OWN,
        'numpy; extra == "edge"',
        'older; python_version < "3.12" and extra == "edge"',
        'newer; python_version >= "3.12" and platform_machine == "aarch64" and extra == "edge"',
    )


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_each_machine_gets_its_own_wheels(own: Path, tmp_path: Path) -> None:
    """Markers are those of the device, whatever Python runs pip; and Bookworm keeps numpy 1."""
    expected = {
        "trixie-arm64": {OWN, "numpy-2.4.0-cp313-cp313-manylinux_2_28_aarch64.whl", "newer-1.0-py3-none-any.whl"},
        "bookworm-arm64": {OWN, "numpy-1.26.4-cp311-cp311-manylinux_2_28_aarch64.whl", "older-1.0-py3-none-any.whl"},
    }
    for system, files in expected.items():
        out = tmp_path / system
        found = fetch(find_system(system), out, own)
        assert {path.name for path in out.iterdir()} == files | {LIST}
        assert set(found.new) == files - {OWN}
        assert read_wheels(out) == found.wheels
        assert all(f"--hash=sha256:{hash_of(out / name)}" in found.wheels.requirements() for name in files)


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_a_fetch_goes_on_where_it_was(own: Path, tmp_path: Path) -> None:
    system, out = find_system("trixie-arm64"), tmp_path / "wheels"
    fetch(system, out, own)
    numpy = next(out.glob("numpy-*"))
    numpy.write_bytes(numpy.read_bytes()[:-1])
    (out / ".fetch-killed").mkdir()
    with pytest.raises(UsageError, match="missing or damaged"):
        read_wheels(out)
    told: list[str] = []
    assert fetch(system, out, told=told.append).new == (numpy.name,)  # its own wheel is there already
    assert told == [f"fetching {numpy.name}"]
    assert not list(out.glob(".fetch-*"))
    read_wheels(out)


@pytest.mark.usefixtures("index")
def test_a_missing_wheel_is_named_and_the_folder_does_not_count_as_complete(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "wheels"
    with pytest.raises(DataError, match=r"bookworm-armv7.*numpy.*Remedy"):
        fetch(find_system("bookworm-armv7"), out, own, extras=["edge"])
    with pytest.raises(UsageError, match="card fetch"):
        read_wheels(out)


@pytest.mark.parametrize("name", ["numpy-1.0-py3-none-any.whl", "quietcam-0.1.0.tar.gz"])
def test_another_file_is_not_taken_for_quietcam(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="the wheel of quietcam"):
        fetch(find_system("trixie-arm64"), tmp_path / "wheels", tmp_path / name)
    with pytest.raises(UsageError, match="pip wheel"):
        fetch(find_system("trixie-arm64"), tmp_path / "wheels")


def test_an_unknown_system_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="trixie-arm64, bookworm-arm64, bookworm-armv7"):
        find_system("buster")


def test_tags_go_from_the_systems_own_c_library_down() -> None:
    tags = list(SYSTEMS["bookworm-armv7"].platforms())
    assert (tags[0], tags[-3:]) == (
        "manylinux_2_36_armv7l",
        ["manylinux_2_17_armv7l", "manylinux2014_armv7l", "linux_armv7l"],
    )
