"""Configuration files: their allowed values, and the sources that take precedence over them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.config import options_of, read_config
from edge.run.cli import run_command
from edge.service.__main__ import main
from quietcam.app.cli import run
from quietcam.data.pictures.files import write_picture
from quietcam.errors import UsageError
from tests.small_models import picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for seed in range(3):
        write_picture(tmp_path / "noisy" / f"{seed}.png", picture(32, 32, seed=seed))
    return tmp_path / "noisy"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "quietcam.toml"
    path.write_text(text)
    return path


def read(path: Path) -> dict[str, Any]:
    return dict(read_config(path, options_of(run_command)))


def test_every_kind_of_value(tmp_path: Path) -> None:
    text = 'source = "x"\nsink = "web"\nthreads = 2\nstrength = 1\nbefore_after = true\nhost_name = ["a", "b"]\n'
    assert read(written(tmp_path, text)) == {
        "source": "x", "sink": ["web"], "threads": 2, "strength": 1, "before_after": True, "host_name": ["a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sinks = 3", "Received: .*quietcam.toml: sinks. Remedy: is sink meant"),
        ("zzz = 3", "remove it"),
        ("json = '-'", "json"),
        ("config = 'x'", "config"),
        ("threads = '2'", "threads must be a whole number"),
        ("threads = 2.5", "threads must be a whole number"),
        ("threads = true", "threads must be a whole number"),
        ("strength = 'all'", "strength must be a number"),
        ("source = 3", "source must be text in quotes"),
        ("sink = [1]", "sink must be text, or a list of texts"),
        ("overwrite = 1", "overwrite must be true or false"),
        ("overwrite = 'yes'", "overwrite must be true or false"),
        ("[web]\nlisten = 'x'", "web"),
        ("source = ", "must be TOML"),
        ("source = 'a'\nsource = 'b'", "must be TOML"),
        ("source = '\x00'", "must be TOML"),
        (f"frames = {'9' * 5000}", "must be TOML.*too many digits"),
        (f"frames = {'[' * 5000}", "must be TOML.*nested too deeply"),
    ],
)
def test_what_it_may_not_say_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(written(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"source = '\xe4'")
    for path, says in (("none", "No such file"), (".", "directory"), ("latin", "UTF-8")):
        with pytest.raises(UsageError, match=says):
            read(tmp_path / path)


def test_the_example_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    text = capsys.readouterr().out
    assert read(written(tmp_path, text))["sink"][0] == "web"
    # What is commented out is right, too.
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
    assert {"source", "model", "listen", "sink", "on_event"} == set(read(written(tmp_path, "\n".join(lines))))


def test_a_warning_names_a_file_that_shows_its_token_to_every_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, 'token = "a long enough token"')
    path.chmod(0o644)
    read(path)
    said = caplog.text
    assert "every user can read it" in said
    assert "a long enough token" not in said
    caplog.clear()
    path.chmod(0o640)
    read(path)
    assert caplog.messages == []


class TestPrecedence:
    """Flag, environment, file, default: how many threads a run has used."""

    def threads(self, pictures: Path, small: Path, *words: str) -> int:
        report = pictures.parent / "report.json"
        fixed = ["--source", str(pictures), "--sink", "null", "--model", str(small), "--json", str(report)]
        assert run(["run", *fixed, *words]) == 0
        return int(json.loads(report.read_text())["threads"])

    def test_it(self, pictures: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = str(written(tmp_path, "threads = 3"))
        assert self.threads(pictures, small, "--config", path) == 3
        monkeypatch.setenv("QUIETCAM_RUN_THREADS", "2")
        assert self.threads(pictures, small, "--config", path) == 2
        assert self.threads(pictures, small, "--config", path, "--threads", "1") == 1
        monkeypatch.delenv("QUIETCAM_RUN_THREADS")
        monkeypatch.setenv("QUIETCAM_RUN_CONFIG", path)
        assert self.threads(pictures, small) == 3

    def test_a_file_alone_is_enough(self, pictures: Path, small: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        path = written(tmp_path, f"source = '{pictures}'\nsink = ['{out}', 'null']\nmodel = '{small}'\n")
        assert run(["run", "--config", str(path)]) == 0
        assert len(list(out.iterdir())) == 3
        assert run(["run", "--config", str(path), "--sink", str(tmp_path / "other")]) == 0
        assert len(list((tmp_path / "other").iterdir())) == 3


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--config", "{tmp}/none.toml"], 2, "must be a readable file"),
        (["--sink", "web", "--listen", "0.0.0.0"], 2, "needs a token"),
        (["--sink", "web", "--listen", "nonsense:port"], 2, "--listen is"),
        (["--sink", "web", "--listen", "127.0.0.1:99999"], 2, "--listen is"),
        (["--sink", "web", "--listen", "192.0.2.1:8080", "--token", "a long enough token"], 2, "not this machine's"),
        (["--sink", "web", "--listen", "127.0.0.1:{busy}"], 2, "choose another by --listen"),
        (["--sink", "web", "--token", "short"], 2, "Received: a length of 5. "),
        (["--sink", "web", "--token", "@{tmp}/none"], 2, "file of a token must be readable"),
        (["--sink", "web", "--viewers", "0"], 2, "--viewers"),
        (["--sink", "web", "--jpeg-quality", "101"], 2, "--jpeg-quality"),
        (["--sink", "web", "--sink", "web"], 2, "a different place"),
        (["--sink", "spool:{tmp}/s", "--sink", "{tmp}/s"], 2, "a different place"),
        (["--sink", "spool:{tmp}/s,size=1kB"], 2, "room for one frame"),
        (["--sink", "spool:{tmp}/file/s"], 1, "Cannot write"),
        (["--sink", "carrier://pigeon"], 2, "A sink is"),
        (["--sink", "webb"], 2, "or ./webb for a folder of that name"),
        (["--sink", "spool"], 2, "spool:FOLDER"),
        (["--sink", "spol:{tmp}/s"], 2, "A sink is"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], code: int, says: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        words = [word.format(tmp=tmp_path, busy=port) for word in words]
        source = ["--source", "synthetic:size=64x48", "--model", str(small)]
        assert run(["run", *source, *words]) == code
    said = capsys.readouterr().err.strip()
    assert says in said
    assert said.startswith("quietcam: ")
    assert said.count("\n") == 0


def test_the_null_sink_does_not_pay_for_the_page(small: Path) -> None:
    program = (
        "import sys; from quietcam.app import cli; code = cli.run(sys.argv[1:]); "
        "loaded = {'aiohttp', 'asyncio', 'prometheus_client'} & set(sys.modules); "
        "sys.exit(str(loaded) if loaded else code)"
    )
    words = [
        "run",
        "--source",
        "synthetic:size=64x48,fps=max",
        "--sink",
        "null",
        "--frames",
        "2",
        "--model",
        str(small),
    ]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
