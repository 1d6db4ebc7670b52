"""All JSON from outside is read by the strict reader, and a hostile file is named."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import quietcam
from quietcam.data.generated import ORIGIN, write_pairs
from quietcam.data.packed.format import COMPLETE, PLAN, Plan, read_complete, read_plan
from quietcam.data.sets.layout import layout_file, read_layout
from quietcam.data.sets.noisy_pictures import CAPTURE, find_noisy
from quietcam.errors import QuietcamError
from quietcam.files.atomic import write_json
from quietcam.representative.audit import read_samples
from quietcam.representative.set import load_set

_ROOT = Path(quietcam.__file__).parents[1]
_STAGES = ("quietcam", "calibration", "train", "convert", "compare", "deploy", "edge")
_OURS = {
    "quietcam/files/strict_json.py": "the reader and the writer",
    "deploy/card/foreign_pip.py": "what its own parent gave",
    "edge/child/tpu_job.py": "what its own parent gave",
    "edge/child/process.py": "what it gives its own child",
    "edge/child/link.py": "what its own parent gave",
}

_HOSTILE = {
    "nothing": b"",
    "deep": b"[" * 100_000,
    "deep in an object": b'{"a":' * 100_000,
    "a list": b"[]",
    "text": b'"text"',
    "NaN": b"NaN",
    "not UTF-8": b'{"a": "\xff"}',
    "half a pair": rb'{"noisy": "\ud800", "clean": "b"}',
    "beyond float": b'{"noisy": 1e999, "clean": "b"}',
    "an integer of 10,000 digits": b'{"format": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"noisy": "a", "noisy": "b", "clean": "c"}',
}


def _calls() -> Iterator[tuple[str, int, str]]:
    for stage in _STAGES:
        for path in sorted((_ROOT / stage).rglob("*.py")):
            name = str(path.relative_to(_ROOT))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "json":
                    yield name, node.lineno, "from json import"
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "json":
                    yield name, node.lineno, node.attr


def test_no_other_module_reads_or_writes_json() -> None:
    found = [f"{name}:{line}: {what}" for name, line, what in _calls() if name not in _OURS]
    assert not found, found


@pytest.mark.parametrize("content", _HOSTILE.values(), ids=list(_HOSTILE))
@pytest.mark.parametrize(
    ("name", "read"),
    [
        (PLAN, read_plan),
        (COMPLETE, read_complete),
        ("layout", read_layout),
        (CAPTURE, lambda folder: find_noisy(folder)),
        ("report.json", lambda folder: read_samples(folder / "report.json")),
        ("set.npz", lambda folder: load_set(folder / "set.npz")),
    ],
)
def test_a_hostile_file_of_a_data_set_is_named(
    tmp_path: Path, name: str, read: Callable[[Path], object], content: bytes
) -> None:
    path = layout_file(tmp_path) if name == "layout" else tmp_path / name
    if name == "set.npz":
        arrays: dict[str, Any] = {
            "patches": np.zeros((1, 8, 8, 3), np.uint8),
            "source": np.array(["a"]),
            "instance": np.array([""]),
            "box": np.zeros((1, 4), np.int64),
            "sha256": np.array(["0"]),
        }
        np.savez(path, origin=np.array(content.decode("latin-1")), **arrays)
    else:
        path.write_bytes(content)
    if name == CAPTURE:
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    if (name, content) == ("set.npz", _HOSTILE["not UTF-8"]):
        return  # numpy keeps characters, not bytes
    with pytest.raises(QuietcamError, match=r"Received: .*"):
        read(tmp_path)


@pytest.mark.parametrize("content", _HOSTILE.values(), ids=list(_HOSTILE))
def test_pairs_are_not_added_to_pairs_of_unknown_origin(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy" / "scene_000000.png").write_bytes(b"")
    (tmp_path / ORIGIN).write_bytes(content)
    with pytest.raises(QuietcamError, match="made with the same options"):
        write_pairs(tmp_path, count=1, size=32)


@pytest.mark.parametrize(
    "change",
    [
        {"patch": -1},
        {"patch": 1.5},
        {"patch": True},
        {"patch": 2**40},
        {"channels": "3"},
        {"channels": 3.0},
        {"per_picture": 0},
        {"patches_per_shard": "many"},
        {"seed": None},
        {"rule": 4},
        {"pictures": {}},
        {"pictures": [[]]},
        {"pictures": ["name"]},
        {"pictures": [{"name": 1, "instance": "", "scene": "", "side": "", "noisy_bytes": 1, "clean_bytes": 1}]},
        {"pictures": [{"name": "a", "instance": "", "scene": "", "side": "", "noisy_bytes": "1", "clean_bytes": 1}]},
    ],
)
def test_a_plan_with_wrong_values_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    plan = Plan("data", 16, 3, 1, None, "all", "rule", ()).to_dict()
    write_json(tmp_path / PLAN, plan)
    assert read_plan(tmp_path).patch == 16
    write_json(tmp_path / PLAN, plan | change)
    with pytest.raises(QuietcamError, match=r"must be the plan of a packed set.*Remedy"):
        read_plan(tmp_path)
