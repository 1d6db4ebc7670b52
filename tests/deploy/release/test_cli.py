"""The commands of a release, from the first key to what a device fetches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.update.fetch import ReleaseClient
from quietcam.app.cli import run
from tests.deploy.release.made import DEVICE, fake_archive, wanted
from tests.small_models import with_manifest


def test_the_whole_way(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "passphrase").write_text("correct horse\n")
    monkeypatch.setenv("QUIETCAM_RELEASE_PASSPHRASE", "correct horse")
    model = with_manifest(models, tmp_path, "small_32x32_int8", receptive_field=6, stride=2)
    signing = ["--keys", "keys", "--passphrase", "@passphrase"]
    assert run(["release", "init", "release", *signing, "--root", "2/3"]) == 0
    told = ["--name", "yard", "--version", "2", "--most-noisy-db", "100", "--tag", "outdoor", "--share", "50"]
    assert run(["release", "add", "release", str(model), "--keys", "keys", *told]) == 0
    assert run(["release", "offer", "release", "yard-2", *signing]) == 0
    assert run(["release", "pause", "release", *signing]) == 0
    assert run(["release", "pause", "release", "--resume", *signing]) == 0
    assert run(["release", "publish", "release", "--keys", "keys"]) == 0
    archive = fake_archive(tmp_path, "1", "own")
    assert run(["release", "add", "release", str(archive), "--device", DEVICE.id, *signing]) == 0
    assert run(["release", "rotate-key", "release", "targets", *signing]) == 0
    assert run(["release", "sign", "release", "root", "--renew", *signing]) == 0
    assert run(["release", "publish", "release", "--keys", "keys", "--timestamp-days", "7"]) == 0
    out = capsys.readouterr().out
    assert "correct horse" not in out
    assert "yard-2: " in out
    assert "devices see it after: quietcam release publish release" in out
    assert run(["release", "show", "release", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["bundle"] for each in report["bundles"]] == ["own-1", "yard-2"]
    assert report["audiences"][-1] == {
        "device": DEVICE.id,
        "paused": False,
        "offers": [{"bundle": "own-1", "tags": [], "share": 100.0}],
    }
    client = ReleaseClient("release", Path("release/metadata/1.root.json"), tmp_path / "state", DEVICE)
    assert client.fetch(wanted(client)).read_bytes() == archive.read_bytes()
    assert run(["release", "withdraw", "release", "own-1", "--device", DEVICE.id, *signing]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "none"], "Received: none"),
        (["init", "release", "--keys", "keys", "--root", "3"], "for example 2/3"),
        (["init", "release", "--keys", "keys", "--root", "3/2"], "2 of 3"),
        (["init", "release", "--keys", "keys", "--passphrase", "@none"], "The file of a passphrase must be readable"),
    ],
)
def test_wrong_usage_says_so(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["release", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()
