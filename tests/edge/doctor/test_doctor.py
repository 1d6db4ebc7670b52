"""The doctor on machines made of files: a healthy one, and each fault with the command that repairs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.child.process import ChildError
from edge.doctor.examine import CHECKS, examine
from edge.doctor.machine import Machine
from quietcam.app.cli import run
from quietcam.finding import Finding

PACKAGES = {
    "ai-edge-litert": "2.3.0", "numpy": "1.26.4", "opencv-python-headless": "4.11.0.86", "aiohttp": "3.14.5",
    "prometheus_client": "0.26.0",
}  # fmt: skip
MEMINFO = "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n"


class Fake:
    """A Raspberry Pi without faults, to which tests add faults."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packages: dict[str, str] = dict(PACKAGES)
        self.modules = {"picamera2", "libcamera", "cv2"}
        self.commands: dict[str, str] = {
            "vcgencmd": "throttled=0x0\n", "timedatectl": "yes\n",
        }  # fmt: skip
        self.fields: dict[str, Any] = {
            "groups": frozenset({"video", "plugdev"}), "page_size": 16384, "delegate": lambda: None,
            "is_root": False, "user": "pi", "architecture": "aarch64", "in_venv": True,
            "prefix": Path("/opt/quietcam"), "python": (3, 11), "spool": root / "var/lib/quietcam",
            "free": lambda _: 8 * 10**9, "models": list,
        }  # fmt: skip
        self.write("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
        self.write("proc/cpuinfo", "Features\t: fp asimd asimdhp asimddp\n" * 4)
        self.write("proc/meminfo", MEMINFO)
        self.write("proc/mounts", "/dev/root / ext4 rw,noatime 0 0\n")
        self.write("dev/video0", "")
        self.write("sys/class/video4linux/video0/name", "imx219\n")
        self.write("usr/lib/python3/dist-packages/picamera2/__init__.py", "")
        self.loopback()

    def write(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def loopback(self) -> None:
        """A device of v4l2loopback, as its sysfs shows it."""
        self.write("dev/video42", "")
        self.write("sys/class/video4linux/video42/name", "quietcam\n")
        self.write("sys/class/video4linux/video42/max_openers", "10\n")
        self.write("sys/module/v4l2loopback/initstate", "live\n")

    def coral(self, speed: int, vendor: str = "18d1", product: str = "9302") -> None:
        values = {"idVendor": vendor, "idProduct": product, "speed": speed, "busnum": 2, "devnum": 3}
        for name, value in values.items():
            self.write(f"sys/bus/usb/devices/2-1/{name}", f"{value}\n")

    def library(self, version: str = "16.0tf2.19.1-1") -> None:
        """As its package installs it."""
        self.write("usr/lib/aarch64-linux-gnu/libedgetpu.so.1", "")
        self.write(
            "var/lib/dpkg/status",
            f"Package: libedgetpu1-std\nStatus: install ok installed\nVersion: {version}\n",
        )
        self.write(
            "usr/lib/udev/rules.d/60-libedgetpu1-std.rules",
            'SUBSYSTEM=="usb",ATTRS{idVendor}=="1a6e",ATTRS{idProduct}=="089a",GROUP="plugdev"\n'
            'SUBSYSTEM=="usb",ATTRS{idVendor}=="18d1",ATTRS{idProduct}=="9302",GROUP="plugdev"\n',
        )

    def machine(self) -> Machine:
        def answer(words: Sequence[str]) -> str | None:
            return self.commands.get(words[0])

        return Machine(
            root=self.root, run=answer, version=self.packages.get, importable=self.modules.__contains__, **self.fields
        )

    def findings(self) -> Mapping[str, Finding]:
        return {finding.subject: finding for finding in examine(self.machine())}


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def test_a_healthy_pi(fake: Fake) -> None:
    fake.coral(5000)
    fake.library()
    findings = fake.findings()
    assert {finding.severity for finding in findings.values()} == {"ok"}, findings
    assert all(finding.remedy is None for finding in findings.values())
    assert findings["Coral"].text == "usb 2-1"
    assert findings["Coral 2-1 speed"].text.startswith("USB 3")
    assert "16.0tf2.19.1-1 with ai-edge-litert 2.3.0" in findings["libedgetpu"].text
    assert findings["Edge TPU delegate"].text == "libedgetpu.so.1 loads"


def trouble(fake: Fake, name: str, severity: str, text: str, remedy: str) -> None:
    finding = fake.findings()[name]
    assert finding.severity == severity, finding
    assert text in finding.text, finding
    assert remedy in (finding.remedy or ""), finding.remedy


class TestEnvironment:
    def test_a_processor_without_an_int8_dot_product_is_told_and_has_nothing_to_mend(self, fake: Fake) -> None:
        fake.write("proc/cpuinfo", "Features\t: fp asimd evtstrm crc32 cpuid\n" * 4)
        found = next(each for each in examine(fake.machine()) if each.subject == "processor")
        assert (found.severity, found.remedy) == ("note", None)
        assert found.text.startswith("NEON without dot products. The processor has no int8 dot product")

    def test_an_old_python(self, fake: Fake) -> None:
        fake.fields["python"] = (3, 9)
        trouble(fake, "python", "error", "3.9", "apt install")

    @pytest.mark.parametrize(("architecture", "extra"), [("aarch64", "[edge]"), ("armv7l", "[edge-legacy]")])
    def test_no_interpreter(self, fake: Fake, architecture: str, extra: str) -> None:
        fake.fields["architecture"] = architecture
        del fake.packages["ai-edge-litert"]
        trouble(fake, "interpreter", "error", "none", f"/opt/quietcam/bin/python -m pip install 'quietcam{extra}'")

    def test_the_numpy_trap_of_tflite_runtime(self, fake: Fake) -> None:
        del fake.packages["ai-edge-litert"]
        fake.packages |= {"tflite-runtime": "2.14.0", "numpy": "2.4.6"}
        trouble(fake, "numpy", "error", "crashes under numpy 2", "'numpy<2'")

    def test_the_numpy_trap_of_bookworms_picamera2(self, fake: Fake) -> None:
        fake.packages["numpy"] = "2.4.6"
        trouble(fake, "numpy", "error", "picamera2", "'numpy<2'")
        fake.fields["python"] = (3, 13)  # Trixie's was built for it
        assert fake.findings()["numpy"].severity == "ok"

    @pytest.mark.parametrize("package", ["numpy", "opencv-python-headless", "aiohttp"])
    def test_a_package_that_is_missing(self, fake: Fake, package: str) -> None:
        del fake.packages[package]
        fake.modules.discard("cv2")
        name = {"numpy": "numpy", "opencv-python-headless": "opencv", "aiohttp": "live page"}[package]
        trouble(fake, name, "error", "", "pip install 'quietcam[edge]'")

    @pytest.mark.parametrize(("version", "says"), [("4.12.0", True), ("4.13.0.92", False), ("5.0.0.93", False)])
    def test_an_opencv_that_mistakes_colors(self, fake: Fake, version: str, says: bool) -> None:
        fake.packages["opencv-python-headless"] = version
        assert ("BT.709" in fake.findings()["opencv"].text) == says

    def test_an_environment_that_cannot_see_the_systems_libcamera(self, fake: Fake, tmp_path: Path) -> None:
        """After the command has run, the environment sees the system's packages."""
        fake.modules -= {"picamera2", "libcamera"}
        fake.fields["prefix"] = tmp_path / "venv"
        settings = fake.write("venv/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
        trouble(fake, "libcamera", "error", "does not show it", "sed -i")
        subprocess.run(fake.findings()["libcamera"].remedy or "", shell=True, check=True)
        assert settings.read_text() == "home = /usr/bin\ninclude-system-site-packages = true\n"

    def test_no_picamera2_at_all(self, fake: Fake) -> None:
        fake.modules -= {"picamera2", "libcamera"}
        shutil.rmtree(fake.root / "usr")
        trouble(fake, "libcamera", "warning", "only USB", "sudo apt install python3-picamera2")
        fake.write("proc/device-tree/model", "Some board")
        assert fake.findings()["libcamera"].severity == "note"


class TestHardware:
    def test_a_camera_that_was_plugged_in_just_now(self, fake: Fake) -> None:
        """For some seconds, only root may open its device node."""
        fake.fields["access"] = lambda path, _: "video" not in path.name
        for path in (fake.root / "dev").glob("video*"):
            path.chmod(0o600)
        trouble(fake, "cameras", "warning", "has just appeared", "quietcam doctor")

    def test_not_in_the_group(self, fake: Fake) -> None:
        fake.fields |= {"groups": frozenset({"pi"}), "access": lambda path, _: "video" not in path.name}
        trouble(fake, "cameras", "error", "not in the group video", "sudo usermod -aG video pi")

    def test_a_device_of_another_group(self, fake: Fake) -> None:
        fake.fields["access"] = lambda path, _: "video" not in path.name
        trouble(fake, "cameras", "error", "/dev/video0 cannot be opened", "sudo chgrp video /dev/video0")

    def test_codecs_and_metadata_are_no_cameras(self, fake: Fake) -> None:
        fake.write("dev/video10", "")
        fake.write("sys/class/video4linux/video10/name", "bcm2835-codec-decode\n")
        fake.write("dev/video1", "")
        fake.write("sys/class/video4linux/video1/index", "1\n")
        assert fake.findings()["cameras"].text == "/dev/video0 (imx219)"
        (fake.root / "dev/video0").unlink()
        assert fake.findings()["cameras"].severity == "warning"

    def test_a_virtual_camera_is_no_camera(self, fake: Fake) -> None:
        assert fake.findings()["virtual camera"].text == "/dev/video42 (v4l2loopback)"
        (fake.root / "dev/video0").unlink()
        assert fake.findings()["cameras"].severity == "warning"

    def test_a_virtual_camera_that_this_user_may_not_write_to(self, fake: Fake) -> None:
        fake.fields["access"] = lambda path, _: path.name != "video42"
        trouble(fake, "virtual camera", "warning", "pi may not write", "sudo chgrp video /dev/video42")
        fake.fields["groups"] = frozenset({"pi"})
        trouble(fake, "virtual camera", "warning", "pi may not write", "sudo usermod -aG video pi")

    def test_how_to_load_the_module_of_a_virtual_camera(self, fake: Fake) -> None:
        """Codecs of a Raspberry Pi 4 have the numbers from 10 on."""
        load = "sudo modprobe v4l2loopback video_nr=12 exclusive_caps=1 card_label=quietcam"
        for name in ("video10", "video11"):
            fake.write(f"dev/{name}", "")
            fake.write(f"sys/class/video4linux/{name}/name", "bcm2835-codec-decode\n")
        (fake.root / "dev/video42").unlink()
        trouble(fake, "virtual camera", "warning", "has no device", f"sudo modprobe -r v4l2loopback && {load}")
        shutil.rmtree(fake.root / "sys/module/v4l2loopback")
        trouble(fake, "virtual camera", "note", "not installed", f'dkms "linux-headers-$(uname -r)" && {load}')
        fake.write("proc/sys/kernel/osrelease", "6.12.1-arm64\n")
        fake.write("lib/modules/6.12.1-arm64/modules.dep", "updates/dkms/v4l2loopback.ko.xz: kernel/videodev.ko.xz\n")
        finding = fake.findings()["virtual camera"]
        assert (finding.severity, finding.remedy) == ("note", load)

    def test_without_a_coral_there_is_nothing_to_mend(self, fake: Fake) -> None:
        finding = fake.findings()["Coral"]
        assert (finding.severity, finding.remedy) == ("note", None)

    @pytest.mark.parametrize(("vendor", "product"), [("1a6e", "089a"), ("18d1", "9302")])
    def test_a_coral_on_usb_2(self, fake: Fake, vendor: str, product: str) -> None:
        fake.coral(480, vendor, product)
        fake.library()
        trouble(fake, "Coral 2-1 speed", "warning", "USB 2, 480 Mbit/s", "USB 3")

    def test_a_coral_without_its_library(self, fake: Fake) -> None:
        fake.coral(5000)
        trouble(fake, "libedgetpu", "error", "libedgetpu.so.1 is not installed", "sudo apt install ./libedgetpu1-std")

    @pytest.mark.parametrize("version", ["15.0", "16.0"])
    def test_googles_own_build_is_broken_whatever_its_number(self, fake: Fake, version: str) -> None:
        fake.coral(5000)
        fake.library(version)
        trouble(fake, "libedgetpu", "error", f"{version} with ai-edge-litert 2.3.0: Google's build", "feranick")
        assert "Edge TPU delegate" not in fake.findings(), "it is not loaded: what would happen is known"

    def test_a_coral_of_another_group(self, fake: Fake) -> None:
        fake.coral(5000)
        fake.library()
        fake.fields["groups"] = frozenset({"video"})
        trouble(fake, "Coral permission", "error", "plugdev", "sudo adduser $USER plugdev")

    def test_a_library_that_crashes_all_the_same(self, fake: Fake) -> None:
        fake.coral(5000)
        fake.library()

        def crash() -> None:
            raise ChildError("Its process was ended by SIGSEGV", crashed=True)

        fake.fields["delegate"] = crash
        trouble(fake, "Edge TPU delegate", "error", "ended by SIGSEGV", "libedgetpu1-std")

    def test_pcie_needs_pages_of_4096_bytes(self, fake: Fake) -> None:
        fake.library()
        fake.write("sys/bus/pci/devices/0000:01:00.0/vendor", "0x1ac1\n")
        fake.write("sys/bus/pci/devices/0000:01:00.0/device", "0x089a\n")
        trouble(fake, "kernel pages", "error", "16384", "kernel=kernel8.img")
        fake.fields["page_size"] = 4096
        assert fake.findings()["kernel pages"].severity == "ok"

    @pytest.mark.parametrize(
        ("bits", "severity", "text", "remedy"),
        [
            ("0x50005", "error", "undervoltage now, throttled now, undervoltage since boot, throttled", "power"),
            ("0x50000", "warning", "undervoltage since boot", "power supply"),
            ("0x80008", "error", "soft temperature limit now", "fan"),
            ("0x20000", "warning", "clock capped since boot", "fan"),
        ],
    )  # fmt: skip
    def test_throttling(self, fake: Fake, bits: str, severity: str, text: str, remedy: str) -> None:
        fake.commands["vcgencmd"] = f"throttled={bits}\n"
        trouble(fake, "power", severity, text, remedy)

    @pytest.mark.parametrize("said", ["", "error=1 error_msg", "throttled=perhaps"])
    def test_a_vcgencmd_that_says_nonsense(self, fake: Fake, said: str) -> None:
        fake.commands["vcgencmd"] = said
        assert fake.findings()["power"].severity == "warning"


class TestSystem:
    @pytest.mark.parametrize(("free", "severity"), [(50 << 20, "error"), (500 << 20, "warning"), (5 << 30, "ok")])
    def test_disk(self, fake: Fake, free: int, severity: str) -> None:
        fake.fields["free"] = lambda _: free
        assert fake.findings()["disk"].severity == severity
        assert (fake.findings()["disk"].remedy is None) == (severity == "ok")

    def test_a_card_that_went_read_only(self, fake: Fake) -> None:
        fake.write("proc/mounts", "/dev/root / ext4 ro,noatime 0 0\n")
        trouble(fake, "disk", "error", "read-only", "sudo mount -o remount,rw /")

    def test_clock(self, fake: Fake) -> None:
        fake.commands["timedatectl"] = "no\n"
        trouble(fake, "clock", "warning", "not kept by NTP", "sudo timedatectl set-ntp true")
        fake.write("run/systemd/timesync/synchronized", "")
        assert fake.findings()["clock"].severity == "ok"

    def test_memory(self, fake: Fake) -> None:
        fake.write("proc/meminfo", "MemAvailable: 90000 kB\n")
        trouble(fake, "memory", "warning", "87 MiB", "multi-user")


def test_an_empty_machine_is_no_crash(tmp_path: Path) -> None:
    machine = Machine(
        root=tmp_path, run=lambda _: None, version=lambda _: None, importable=lambda _: False,
        free=lambda _: 10**10, spool=tmp_path,
    )  # fmt: skip
    findings = examine(machine)
    assert {finding.subject for finding in findings} >= {"python", "interpreter", "cameras", "power", "disk", "clock"}


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> None:
    def check_moon(_: Machine) -> list[Finding]:
        raise RuntimeError("eclipse")

    monkeypatch.setattr("edge.doctor.examine.CHECKS", (check_moon, *CHECKS))
    assert fake.findings()["moon"] == Finding("moon", "warning", "this check failed: RuntimeError: eclipse")


@pytest.mark.parametrize("broken", [False, True])
def test_the_command(
    fake: Fake, broken: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if broken:
        fake.packages.pop("numpy")
    monkeypatch.setattr("edge.doctor.machine.Machine", lambda: fake.machine())
    assert run(["doctor", "--json", "-"]) == int(broken)
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["ok"] is not broken
    assert {"subject", "severity", "text", "remedy"} == set(report["findings"][0])
    assert run(["doctor"]) == int(broken)
    shown = capsys.readouterr().out
    assert ("remedy: " in shown) == (broken or any(each["remedy"] for each in report["findings"]))
    assert all(each["text"] in shown for each in report["findings"])


def test_this_machine_can_be_examined() -> None:
    findings = examine(Machine())
    assert all(finding.remedy for finding in findings if finding.severity == "error")
    assert not any("this check failed" in finding.text for finding in findings)
