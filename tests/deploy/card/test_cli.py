"""The commands: their words, what they refuse, and that no secret is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quietcam.app.cli import run

PASSWORD = "correct horse battery"


def prepare(boot: Path, wheels: Path, *words: str) -> int:
    return run(["card", "prepare", str(boot), "--wheels", str(wheels), *words])


def test_no_secret_is_printed(
    trixie: Path, trixie_wheels: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wifi").write_text(f"{PASSWORD}\n")
    wifi = ["--wifi", "Home", "--wifi-country", "DE", "--wifi-password"]
    report = tmp_path / "report.json"
    texts = []
    for words in (["--dry-run"], ["--json", str(report)]):
        assert prepare(trixie, trixie_wheels, *wifi, f"@{tmp_path}/wifi", "--token-on-card", *words) == 0
        texts.append("".join(capfd.readouterr()))
    assert prepare(trixie, trixie_wheels, *wifi, PASSWORD * 9) == 2
    texts += ["".join(capfd.readouterr()), report.read_text()]
    network = (trixie / "network-config").read_text()
    key = network.split('password: "')[1][:64]
    assert len(key) == 64
    assert all(PASSWORD not in text and key not in text for text in [*texts, network.replace(key, "")])
    assert {"path": "network-config", "action": "changed", "size": len(network)} in json.loads(texts[-1])["files"]


@pytest.mark.parametrize(
    "words",
    [
        ["--wifi-password", PASSWORD],
        ["--wifi", "Home", "--wifi-password", PASSWORD],
        ["--hostname", "a b"],
        ["--ssh-key", "/nowhere.pub"],
        ["--config", "/nowhere.toml"],
    ],
)
def test_wrong_words_are_refused_and_nothing_is_written(
    trixie: Path, trixie_wheels: Path, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert prepare(trixie, trixie_wheels, *words) == 2
    text = capfd.readouterr().err
    assert words[0] in text or "configuration" in text
    assert PASSWORD not in text
    assert not (trixie / "quietcam").exists()


def test_a_configuration_that_run_refuses_is_refused(trixie: Path, trixie_wheels: Path, tmp_path: Path) -> None:
    config = tmp_path / "quietcam.toml"
    config.write_text('sinks = ["web"]\n')
    assert prepare(trixie, trixie_wheels, "--config", str(config)) == 2
    config.write_text('sink = ["null"]\n')
    assert prepare(trixie, trixie_wheels, "--config", str(config)) == 0
    assert (trixie / "quietcam/quietcam.toml").read_bytes() == config.read_bytes()


def test_the_configuration_that_ships_is_one_of_run(trixie: Path, trixie_wheels: Path, tmp_path: Path) -> None:
    assert prepare(trixie, trixie_wheels) == 0
    shipped = trixie / "quietcam/quietcam.toml"
    config = tmp_path / "quietcam.toml"
    config.write_bytes(shipped.read_bytes())
    assert prepare(trixie, trixie_wheels, "--config", str(config)) == 0
    assert shipped.read_bytes() == config.read_bytes()


def test_a_device_that_nobody_can_open_is_told_of(
    trixie: Path, trixie_wheels: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert prepare(trixie, trixie_wheels) == 0
    assert "nobody can log in" in capfd.readouterr().err
    assert prepare(trixie, trixie_wheels, "--token-on-card") == 0
    assert "nobody can log in" not in capfd.readouterr().err
    (trixie / "user-data").write_text("#cloud-config\nuser: {name: me}\n")
    assert prepare(trixie, trixie_wheels) == 0
    assert "nobody can log in" not in capfd.readouterr().err


def test_undo_tells_what_it_takes_back(trixie: Path, trixie_wheels: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert prepare(trixie, trixie_wheels) == 0
    capfd.readouterr()
    assert run(["card", "undo", str(trixie)]) == 0
    assert "vendor-data" in capfd.readouterr().out
    assert run(["card", "undo", str(trixie)]) == 2
