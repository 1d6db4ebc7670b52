"""What cloud-init and firstrun.sh are told: read by YAML's own parser, by cloud-init's schema, and by a shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import deploy.card
from deploy.card.cloud_init import cloud_config, network_config, vendor_data
from deploy.card.firstrun import HOOK, firstrun, with_hook, with_line
from deploy.card.settings import Settings, Wifi
from quietcam.errors import UsageError

yaml = pytest.importorskip("yaml", reason="needs the extra 'dev'")

KEYS = ("ssh-ed25519 " + "A" * 68 + ' "me"@desk', "ssh-ed25519 " + "B" * 68)
WIFI = Wifi('My "Wi-Fi": \\ #1 ü', "a" * 64, "DE")
SETTINGS = Settings("camera1", KEYS, WIFI)
ON_CARD = Path(deploy.card.__file__).parent / "on_card"


def test_vendor_data_is_settings_and_a_script() -> None:
    config, script = yaml.safe_load(vendor_data(SETTINGS))
    values = yaml.safe_load(config["content"])
    assert values["hostname"] == "camera1"
    assert values["user"]["ssh_authorized_keys"] == list(KEYS)
    assert values["ssh_pwauth"] is False
    assert script["type"] == "text/x-shellscript"
    assert subprocess.run(["sh", "-n"], input=script["content"], text=True, check=False).returncode == 0
    assert len(yaml.safe_load(vendor_data(Settings()))) == 1
    assert vendor_data(Settings()).startswith("#cloud-config-archive\n")


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=32),
    st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
def test_a_network_is_read_back_as_it_was_written(name: str, key: str | None) -> None:
    wifi = yaml.safe_load(network_config(Wifi(name, key, "NO")))["network"]["wifis"]["wlan0"]
    assert wifi["regulatory-domain"] == "NO"  # not False, as a bare NO would be
    ((found, access),) = wifi["access-points"].items()
    assert found == name
    assert access == ({"auth": {"key-management": "none"}} if key is None else {"password": key})


@pytest.mark.parametrize(
    ("kind", "content"), [("cloud-config", cloud_config(SETTINGS)), ("network-config", network_config(WIFI))]
)
def test_cloud_init_finds_no_fault(tmp_path: Path, kind: str, content: str) -> None:
    program = shutil.which("cloud-init")
    if program is None:
        pytest.skip("cloud-init is not installed here")
    path = tmp_path / kind
    path.write_text(content)
    command = [program, "schema", "--config-file", str(path), "--schema-type", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid schema" in done.stdout


def test_firstrun_hands_each_word_on_whole() -> None:
    """A shell runs it with a program that prints its words."""
    script = firstrun(SETTINGS).replace("/usr/lib/raspberrypi-sys-mods/imager_custom", "printf '%s|'")
    lines = [line for line in script.splitlines() if line.startswith("printf")]
    done = subprocess.run(["sh"], input="\n".join(lines), capture_output=True, text=True, check=True)
    assert WIFI.key is not None
    words = ["set_hostname", "camera1", "enable_ssh", "-k", *KEYS, "set_wlan", WIFI.name, WIFI.key, "DE"]
    assert done.stdout == "".join(f"{word}|" for word in words)
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_imagers_script_gets_one_line() -> None:
    theirs = "#!/bin/bash\n\nset +e\n\necho a\nrm -f /boot/firstrun.sh\nexit 0\n"
    ours = with_line(theirs)
    added = [line for line in ours.splitlines() if line not in theirs.splitlines()]
    assert added == ["sh /boot/firmware/quietcam/start.sh later # quietcam card prepare"]
    assert ours.replace(f"{added[0]}\n", "") == theirs
    with pytest.raises(UsageError, match="shell script"):
        with_line("@echo off\n")


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    st.sampled_from(["", "\n", "\r\n", " \n", "\n\n"]),
)
def test_the_hook_stays_on_the_line(words: str, end: str) -> None:
    hooked = with_hook(words + end)
    assert hooked.splitlines()[0].split() == [words, *HOOK.split()]
    assert hooked.replace(HOOK, "") == words + end


def test_a_command_line_that_runs_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="one program at first boot"):
        with_hook("root=/dev/sda2 systemd.run=/boot/other.sh\n")


@pytest.mark.parametrize("name", ["first-boot.sh", "start.sh"])
def test_shellcheck_finds_no_fault(name: str) -> None:
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed here")
    done = subprocess.run([program, "--shell", "sh", ON_CARD / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed here")
    unit = tmp_path / "quietcam-first-boot.service"
    unit.write_text((ON_CARD / unit.name).read_text().replace("@CARD@", "/boot/firmware/quietcam"))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr
