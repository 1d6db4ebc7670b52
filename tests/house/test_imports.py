"""No module imports, even indirectly, a module that imports it; imports in functions and for types alone count, too."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

grimp = pytest.importorskip("grimp", reason="needs the extra 'dev'")

ROOT = Path(__file__).parents[2]


def find_circle(packages: Iterable[str]) -> list[str]:
    """Modules in the order in which each imports the next, the first one again at the end; empty without a circle."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_imports_make_no_circle() -> None:
    packages = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    assert {"quietcam", "compare", "edge", "tests"} <= set(packages)
    assert find_circle(packages) == []


@pytest.mark.parametrize(
    "second",
    [
        "from circular import first",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from circular.first import x",
        "def late():\n    import circular.first",
    ],
)
def test_every_kind_of_circle_is_found(second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "circular"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "first.py").write_text("import circular.second\nx = 1\n")
    (folder / "second.py").write_text(second)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(find_circle(["circular"])) == {"circular.first", "circular.second"}
