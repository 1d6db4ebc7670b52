"""The documentation as a site: ``make docs``. Sphinx reads Markdown (MyST), docstrings and the command line itself."""

from __future__ import annotations

import os
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging
from typer.cli import get_docs_for_click
from typer.main import get_command

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow says nothing while docstrings are read

project = "quietcam"
author = "the quietcam authors"
release = version = installed_version("quietcam")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "
html_theme = "furo"
html_title = "quietcam"
html_static_path: list[str] = []
html_show_copyright = False
html_show_sphinx = False


def write_commands(_: Sphinx) -> None:
    """One page for each command, from the code: what ``--help`` says, and what can be set by the environment."""
    from quietcam.app.cli import app

    folder = ROOT / "docs" / "reference" / "commands"
    folder.mkdir(exist_ok=True)
    group = get_command(app)
    context = group.make_context("quietcam", [], resilient_parsing=True)
    pages = {}
    name_variables(group, "QUIETCAM")
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        text = get_docs_for_click(obj=command, ctx=context, name=name, call_prefix="quietcam")
        pages[name] = text.replace("## `", "# `", 1).replace("### `", "## `").rstrip() + "\n"
    for old in folder.glob("*.md"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / f"{name}.md"
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def name_variables(command: Any, prefix: str) -> None:
    """Give each option its own variable, ``QUIETCAM_RUN_THREADS``: the pages would name the group's otherwise."""
    for option in command.params:
        if option.param_type_name == "option" and option.envvar is None and option.allow_from_autoenv:
            option.envvar = f"{prefix}_{option.name.upper()}"
    for name, inner in getattr(command, "commands", {}).items():
        name_variables(inner, f"{prefix}_{name.upper().replace('-', '_')}")


def check_public_names(app: Sphinx, _: Exception | None) -> None:
    """Warn of public names that the page of the Python API lacks or that have no docstring: a strict build fails."""
    import quietcam

    shown = {name.removeprefix("quietcam.") for name in app.env.domains["py"].data["objects"]}
    if missing := sorted(set(quietcam.__all__) - shown):
        logger.warning("docs/reference/python.md lacks public names of quietcam: %s", ", ".join(missing))
    if silent := sorted(name for name in quietcam.__all__ if not words_about(getattr(quietcam, name))):
        logger.warning("public names of quietcam have no docstring: %s", ", ".join(silent))


def words_about(public: object) -> str:
    """The docstring that somebody wrote; a dataclass without one is given its own signature."""
    words = (public.__doc__ or "").strip()
    return "" if words.startswith(f"{getattr(public, '__name__', '')}(") else words


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", write_commands)
    app.connect("build-finished", check_public_names)
