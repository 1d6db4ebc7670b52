"""What is made again, and what is not."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from lab import cache as caches
from lab.cache import Cache, key_of
from lab.image import PLAIN, Contents, _for_python, keys, sources

ROOT = Path(__file__).parents[2]
A, B = key_of("a"), key_of("b")


def test_a_folder_is_made_once_for_its_key(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("x")

    first = cache.kept("thing", A, make)
    assert cache.kept("thing", A, make) == first
    second = cache.kept("thing", B, make)
    assert len(made) == 2
    assert (second / "file").read_text() == "x"


def test_the_folders_that_were_not_used_for_longest_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    other = cache.kept("thing-more", A, lambda _: None)
    first, second, *_ = (cache.kept("thing", key_of(str(each)), lambda _: None) for each in range(4))
    assert cache.kept("thing", key_of("0"), lambda _: None) == first  # used again
    cache.kept("thing", A, lambda _: None)
    assert (first.exists(), second.exists(), other.exists()) == (True, False, True)


def test_a_folder_that_was_not_finished_does_not_count(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        cache.kept("thing", A, fail)
    made = cache.kept("thing", A, lambda folder: (folder / "whole").touch())
    assert [each.name for each in made.iterdir()] == ["whole"]


def test_the_second_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    cache, waiting, order = Cache(tmp_path), threading.Event(), []

    def second() -> None:
        with Cache(tmp_path).locked("guest", waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with cache.locked("guest"):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUIETCAM_LAB", str(tmp_path))
    assert caches.home() == tmp_path
    monkeypatch.setenv("QUIETCAM_LAB", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert caches.home() == tmp_path / "home/.cache/quietcam-lab"


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", "")}) == 4


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("quietcam", "calibration", "train", "convert", "compare", "deploy", "edge"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("a = 1\n")
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("edge/a.py", {"quietcam", "disk"}),
        ("pyproject.toml", {"quietcam", "disk"}),
        ("constraints.txt", {"wheels", "disk"}),
        ("edge/__pycache__/a.pyc", set()),
        ("tests/a.py", set()),
    ],
)
def test_only_what_changed_is_made_again(checkout: Path, changed: str, again: set[str]) -> None:
    before = keys(PLAIN, checkout)
    path = checkout / changed
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("# changed\n")
    after = keys(PLAIN, checkout)
    assert {name for name in before if before[name] != after[name]} == again


def test_other_packages_are_another_disk() -> None:
    plain, more, wheels = (keys(each) for each in (PLAIN, Contents("m", ("dkms",)), Contents("w", wheels=("av",))))
    assert {name for name in plain if plain[name] != more[name]} == {"debian", "disk"}
    assert {name for name in plain if plain[name] != wheels[name]} == {"wheels", "disk"}


def test_a_plain_disk_does_not_change_with_quietcam(checkout: Path) -> None:
    plain = Contents("bare", installed=False)
    before = keys(plain, checkout)["disk"]
    (checkout / "edge/a.py").write_text("a = 2\n")
    assert keys(plain, checkout)["disk"] == before
    assert keys(PLAIN, checkout)["disk"] != before


def test_the_wheel_is_made_of_what_pyproject_says() -> None:
    found = {path.parts[0] for path in sources()}
    assert found == {"quietcam", "calibration", "train", "convert", "compare", "deploy", "edge"} | {
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }


def test_a_requirement_for_another_python_is_left_out() -> None:
    assert _for_python("cv>=4; python_version >= '3.12'", "3.13") == "cv>=4"
    assert _for_python("cv>=4; python_version < '3.12'", "3.13") == ""
    assert _for_python("numpy>=1", "3.11") == "numpy>=1"
