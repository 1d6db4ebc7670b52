"""The house stays one that people find their way in: short files, and few modules side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
MOST_MODULES = 15
BUILT = {"build", "dist", "node_modules", "runs"}


def modules(root: Path) -> list[Path]:
    """Every module of the repository; not what was built or installed there, nor what hidden folders hold."""
    foreign = [config.parent for config in root.glob("*/pyvenv.cfg")]
    own = [path for path in root.rglob("*.py") if not any(path.is_relative_to(folder) for folder in foreign)]
    paths = [path.relative_to(root) for path in own]
    return [path for path in paths if not any(part in BUILT or part.startswith((".", "_build")) for part in path.parts)]


def too_long(root: Path) -> list[str]:
    """Files of more than 400 lines."""
    lines = {path: len((root / path).read_text().splitlines()) for path in modules(root)}
    return [f"{path} has {count} lines" for path, count in lines.items() if count > MOST_LINES]


def too_full(root: Path) -> list[str]:
    """Folders of more than 15 modules; what every folder has, `__init__` and `conftest`, does not count."""
    named = (path for path in modules(root) if path.name not in {"__init__.py", "conftest.py"})
    counts = Counter(path.parent for path in named)
    return [f"{folder} has {count} modules" for folder, count in counts.items() if count > MOST_MODULES]


def test_no_file_is_longer_than_400_lines() -> None:
    assert len(modules(ROOT)) > 400
    assert too_long(ROOT) == []


def test_no_folder_has_more_than_15_modules_side_by_side() -> None:
    assert too_full(ROOT) == []


@pytest.mark.parametrize("more", [0, 1])
def test_the_bounds_are_seen(tmp_path: Path, more: int) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    for name in ("__init__", "conftest", *map(str, range(MOST_MODULES + more))):
        (folder / f"{name}.py").write_text("")
    (tmp_path / "long.py").write_text("x = 1\n" * (MOST_LINES + more))
    for foreign in (".venv", "environment"):
        (tmp_path / foreign).mkdir()
        (tmp_path / foreign / "pyvenv.cfg").touch()
        (tmp_path / foreign / "foreign.py").write_text("x = 1\n" * 9999)
    assert too_full(tmp_path) == [f"full has {MOST_MODULES + 1} modules"] * more
    assert too_long(tmp_path) == [f"long.py has {MOST_LINES + 1} lines"] * more
