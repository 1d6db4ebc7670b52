"""The scripts of the card at work: with a real venv, a real pip and the real code, below a folder instead of /.

On a Raspberry Pi they have not been run.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from deploy.card.prepare import prepare
from deploy.card.release import CardRelease
from deploy.card.settings import Settings
from edge.web.access import Access

pytestmark = pytest.mark.slow


class Device:
    """A folder with the root of a device, and its boot partition."""

    def __init__(self, folder: Path, wheels: Path, release: CardRelease | None = None) -> None:
        self.root, self.boot = folder / "root", folder / "root/boot/firmware"
        self.boot.mkdir(parents=True)
        for name in ("meta-data", "user-data", "cmdline.txt"):
            (self.boot / name).write_text("# comments\n")
        prepare(self.boot, wheels, settings=Settings(), release=release)
        self.led = self.root / "sys/class/leds/ACT"
        self.led.mkdir(parents=True)
        self.led_is("none [mmc0] timer")

    def led_is(self, trigger: str) -> None:
        (self.led / "trigger").write_text(f"{trigger}\n")

    def run(self, script: str = "first-boot.sh") -> subprocess.CompletedProcess[str]:
        """As systemd would; what the code needs is taken from the environment of the tests."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "QUIETCAM_"))}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "QUIETCAM_ROOT": str(self.root),
        }
        command = ["sh", str(self.boot / "quietcam" / script)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def report(self) -> str:
        return (self.boot / "quietcam/first-boot.txt").read_text()

    @property
    def token(self) -> str:
        found = re.search(r"^QUIETCAM_TOKEN=(.+)$", (self.root / "etc/quietcam.env").read_text(), re.M)
        assert found is not None
        return found[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, code_wheels: Path) -> tuple[Device, str]:
    """A device after its first boot, and what it said on the console."""
    device = Device(tmp_path_factory.mktemp("device"), code_wheels)
    done = device.run()
    assert done.returncode == 0, done.stdout + done.stderr + device.report
    return device, done.stdout


def test_the_first_boot_installs_everything(installed: tuple[Device, str]) -> None:
    device, console = installed
    assert [line[:21] for line in console.splitlines()[:6]] == [
        f"quietcam: step {number} of 6" for number in range(1, 7)
    ]
    assert device.report.startswith("quietcam is installed.\n")
    root = device.root
    assert (root / "etc/quietcam.toml").read_bytes() == (device.boot / "quietcam/quietcam.toml").read_bytes()
    assert (
        f"{root}/opt/quietcam/bin/python -P -m quietcam run"
        in (root / "etc/systemd/system/quietcam.service").read_text()
    )
    assert (root / "etc/systemd/system/multi-user.target.wants/quietcam.service").resolve().is_file()
    config = (root / "opt/quietcam/pyvenv.cfg").read_text()
    assert "include-system-site-packages = true" in config


def test_each_device_makes_a_token_that_nobody_can_guess(installed: tuple[Device, str]) -> None:
    device, console = installed
    secrets = device.root / "etc/quietcam.env"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert Access(device.token, 8080).is_beyond_guessing
    log = (device.root / "var/log/quietcam-first-boot.log").read_text()
    assert all(device.token not in text for text in (console, log, device.report))
    assert not (device.boot / "quietcam/token.txt").exists()


def test_the_led_blinks_and_is_given_back(installed: tuple[Device, str]) -> None:
    device, _ = installed
    assert (device.led / "delay_on").read_text() == "100\n"
    assert (device.led / "trigger").read_text() == "mmc0\n"


def test_a_later_boot_does_nothing(installed: tuple[Device, str]) -> None:
    device, _ = installed
    token, report = device.token, device.report
    done = device.run()
    assert (done.returncode, done.stdout) == (0, "quietcam: installed already\n")
    assert (device.token, device.report) == (token, report)


def test_a_card_with_another_configuration_keeps_packages_and_token(
    installed: tuple[Device, str], code_wheels: Path
) -> None:
    device, _ = installed
    token, environment = device.token, (device.root / "opt/quietcam").resolve()
    prepare(device.boot, code_wheels, b'sink = ["null"]\n', token_on_card=True)
    done = device.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the packages are installed already" in done.stdout
    assert (device.root / "etc/quietcam.toml").read_text() == 'sink = ["null"]\n'
    assert "listen" in (device.root / "etc/quietcam.toml.before-card").read_text()
    assert (device.root / "opt/quietcam").resolve() == environment
    assert device.token == token
    assert (device.boot / "quietcam/token.txt").read_text() == f"{token}\n"


def test_a_card_with_a_release_tells_the_device_where_it_looks_for_updates(tmp_path: Path, code_wheels: Path) -> None:
    device = Device(tmp_path, code_wheels, CardRelease(b"{}\n", "@CARD@/release", {}))
    done = device.run()
    assert done.returncode == 0, done.stdout + done.stderr + device.report
    etc, units = device.root / "etc", device.root / "etc/systemd/system"
    assert (etc / "quietcam-root.json").read_bytes() == b"{}\n"
    assert f'QUIETCAM_UPDATE_FROM="{device.boot}/quietcam/release"\n' in (etc / "quietcam-update.env").read_text()
    assert all(stat.S_IMODE((etc / f"quietcam-{name}").stat().st_mode) == 0o644 for name in ("root.json", "update.env"))
    assert 'model = "slot"\n' in (etc / "quietcam.toml").read_text()
    timer = (units / "timers.target.wants/quietcam-update.timer").resolve()
    assert "OnUnitInactiveSec" in timer.read_text()
    assert f"{device.root}/opt/quietcam/bin/python -P -m quietcam update\n" in timer.with_suffix(".service").read_text()


def test_a_damaged_card_ends_in_a_reason_and_the_next_boot_goes_on(tmp_path: Path, code_wheels: Path) -> None:
    device = Device(tmp_path, code_wheels)
    wheel = next((device.boot / "quietcam/wheels").iterdir())
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:5000] + b"\0" + whole[5001:])
    done = device.run()
    assert done.returncode == 1
    assert "Step: 3 of 6" in device.report
    assert "pip did not install the packages" in device.report
    assert "Remedy: " in device.report
    assert "hash" in device.report.lower()  # of pip's own lines
    assert (device.led / "delay_on").read_text() == "1000\n"
    assert not (device.root / "opt/quietcam").exists()
    shutil.rmtree(device.led)  # a board without this LED
    wheel.write_bytes(whole)
    assert device.run().returncode == 0
    assert device.report.startswith("quietcam is installed.\n")


def test_a_card_of_another_system_is_refused_with_its_name(tmp_path: Path, code_wheels: Path) -> None:
    device = Device(tmp_path, code_wheels)
    settings = device.boot / "quietcam/settings"
    settings.write_text(re.sub("python_version=.*", "python_version=3.99", settings.read_text()))
    assert device.run().returncode == 1
    assert "the card is for this-machine with Python 3.99" in device.report
    assert "card fetch" in device.report


def test_an_environment_that_somebody_made_by_hand_is_kept(tmp_path: Path, code_wheels: Path) -> None:
    device = Device(tmp_path, code_wheels)
    (device.root / "opt/quietcam").mkdir(parents=True)
    assert device.run().returncode == 1
    assert "this card did not make it" in device.report
    assert (device.root / "opt/quietcam").is_dir()


def test_the_hook_installs_a_unit_that_every_boot_starts(tmp_path: Path, code_wheels: Path) -> None:
    device = Device(tmp_path, code_wheels)
    for _ in range(2):
        done = device.run("start.sh")
        assert done.returncode == 0, done.stderr
    units = device.root / "etc/systemd/system"
    unit = (units / "multi-user.target.wants/quietcam-first-boot.service").resolve()
    assert unit == (units / "quietcam-first-boot.service").resolve()
    assert f"ExecStart=/bin/sh {device.boot}/quietcam/first-boot.sh\n" in unit.read_text()
    assert "@CARD@" not in unit.read_text()
