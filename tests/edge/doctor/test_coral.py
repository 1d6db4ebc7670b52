"""The doctor's findings about a Coral, on fake machines: folders like those of the kernel, udev and dpkg."""

import re
import subprocess

import pytest

from edge.child.tpu import probe
from edge.doctor.coral import (
    Coral,
    Library,
    check_delegate,
    check_devices,
    check_library,
    check_pages,
    check_pcie,
    check_permission,
    check_usb_speed,
    coral_checks,
    find_corals,
    find_library,
    install_command,
)
from edge.network.delegates import library_name
from tests.waiting import WAIT

LITERT = ("ai-edge-litert", "2.3.0")
LEGACY = ("tflite-runtime", "2.14.0")
USB_RULES = (  # as libedgetpu's Debian package installs them
    'SUBSYSTEM=="usb",ATTRS{idVendor}=="1a6e",ATTRS{idProduct}=="089a",GROUP="plugdev"\n'
    'SUBSYSTEM=="usb",ATTRS{idVendor}=="18d1",ATTRS{idProduct}=="9302",GROUP="plugdev"\n'
)


def put(root, path, text=""):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def plug_usb(root, place="2-1", vendor="18d1", product="9302", speed="5000"):
    folder = f"sys/bus/usb/devices/{place}"
    for name, text in {"idVendor": vendor, "idProduct": product, "speed": speed, "busnum": "2", "devnum": "3"}.items():
        put(root, f"{folder}/{name}", f"{text}\n")


def plug_card(root, place="0000:01:00.0", driver=True):
    put(root, f"sys/bus/pci/devices/{place}/vendor", "0x1ac1\n")
    put(root, f"sys/bus/pci/devices/{place}/device", "0x089a\n")
    if driver:
        put(root, "dev/apex_0")
        (root / "sys/class/apex/apex_0").mkdir(parents=True)
        (root / "sys/class/apex/apex_0/device").symlink_to(root / f"sys/bus/pci/devices/{place}")


def install_library(root, version="16.0tf2.19.1-1", triplet="aarch64-linux-gnu"):
    put(root, f"usr/lib/{triplet}/libedgetpu.so.1")
    put(
        root,
        "var/lib/dpkg/status",
        "Package: bash\nStatus: install ok installed\nVersion: 5.2\n\n"
        f"Package: libedgetpu1-std\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n"
        "Description: Support library for Edge TPU\n more text: not a field\n",
    )


def severities(findings):
    return {each.subject: each.severity for each in findings}


def test_a_machine_without_a_coral_has_one_finding_and_no_error(tmp_path):
    (finding,) = coral_checks(tmp_path, runtime=LITERT)
    assert (finding.severity, finding.remedy) == ("note", None)


def test_the_default_root_is_this_machine():
    assert coral_checks(runtime=LITERT)


def test_a_healthy_usb_coral_has_no_fault(tmp_path):
    plug_usb(tmp_path)
    install_library(tmp_path)
    put(tmp_path, "usr/lib/udev/rules.d/60-libedgetpu1-std.rules", USB_RULES)
    findings = coral_checks(tmp_path, runtime=LITERT, groups=["plugdev"])
    assert severities(findings) == {
        "Coral": "ok",
        "libedgetpu": "ok",
        "Coral permission": "ok",
        "Coral 2-1 speed": "ok",
    }
    assert all(each.remedy is None for each in findings)


def test_both_identities_of_the_usb_coral_are_found(tmp_path):
    plug_usb(tmp_path, "1-1", "1a6e", "089a", "480")
    plug_usb(tmp_path, "2-1")
    plug_usb(tmp_path, "3-1", "046d", "c077")  # a mouse
    assert find_corals(tmp_path) == [
        Coral("usb", "1-1", 480, "/dev/bus/usb/002/003", started=False),
        Coral("usb", "2-1", 5000, "/dev/bus/usb/002/003", started=True),
    ]
    assert "not used since it was plugged in" in check_devices(find_corals(tmp_path)).text


def test_usb_2_is_a_warning_and_usb_3_is_fine():
    slow, fast, unknown = Coral("usb", "1-1", 480), Coral("usb", "2-1", 10000), Coral("usb", "3-1")
    findings = check_usb_speed([slow, fast, unknown, Coral("pci", "0000:01:00.0")])
    assert [each.severity for each in findings] == ["warning", "ok"]
    assert "USB 3" in findings[0].remedy


@pytest.mark.parametrize(
    ("version", "runtime", "severity"),
    [
        ("16.0", LITERT, "error"),  # the segfault
        ("16.0", LEGACY, "error"),
        ("15.0", LEGACY, "error"),
        ("16.0", ("tflite-runtime", "2.11.1"), "ok"),
        ("16.0", ("tflite-runtime", "2.12.0"), "error"),
        ("16.0tf2.19.1-1", LITERT, "ok"),
        ("16.0tf2.16.1-1", LITERT, "warning"),
        ("16.0tf2.14.0-1", LEGACY, "ok"),
        ("16.0tf2.15.0-1", LEGACY, "warning"),
        ("16.0-0ppa1", LEGACY, "warning"),  # nobody says which TensorFlow it was built against
        (None, LITERT, "warning"),
    ],
)
def test_the_pairs_that_crash_are_errors(version, runtime, severity):
    finding = check_library(Library("/usr/lib/libedgetpu.so.1", "libedgetpu1-std", version), runtime)
    assert finding.severity == severity
    assert (finding.remedy is None) == (severity == "ok")


def test_the_crash_is_named_and_the_maintained_build_is_the_remedy():
    finding = check_library(Library("/usr/lib/libedgetpu.so.1", "libedgetpu1-max", "16.0"), LITERT)
    assert "segmentation fault" in finding.text
    assert "feranick/libedgetpu" in finding.remedy


def test_a_missing_library_or_interpreter_is_an_error(tmp_path):
    plug_usb(tmp_path)
    assert severities(coral_checks(tmp_path, runtime=LITERT, is_root=True))["libedgetpu"] == "error"
    install_library(tmp_path)
    finding = check_library(find_library(tmp_path), None)
    assert (finding.severity, finding.remedy) == ("error", "pip install 'quietcam[edge]'")


@pytest.mark.parametrize(
    ("codename", "machine", "file"),
    [
        ("trixie", "aarch64", "libedgetpu1-std_16.0tf2.19.1-1.trixie_arm64.deb"),
        ("bookworm", "armv7l", "libedgetpu1-std_16.0tf2.19.1-1.bookworm_armhf.deb"),
        ("noble", "x86_64", "libedgetpu1-std_16.0tf2.19.1-1.ubuntu24.04_amd64.deb"),
    ],
)
def test_the_remedy_is_the_command_for_this_system(tmp_path, codename, machine, file):
    put(tmp_path, "etc/os-release", f'NAME="Some"\nVERSION_CODENAME={codename}\n')
    plug_usb(tmp_path)
    findings = {each.subject: each for each in coral_checks(tmp_path, runtime=LITERT, is_root=True, machine=machine)}
    remedy = findings["libedgetpu"].remedy
    assert remedy.startswith("curl -fLO https://github.com/feranick/libedgetpu/releases/download/")
    assert remedy.endswith(f"/{file} && sudo apt install ./{file}")


def test_where_there_is_no_package_the_remedy_says_where_to_look(tmp_path):
    assert "releases" in install_command(tmp_path, "aarch64")
    put(tmp_path, "etc/os-release", "VERSION_CODENAME=trixie\n")
    assert "for your Debian and architecture" in install_command(tmp_path, "riscv64")


def test_the_version_comes_from_dpkg_but_not_for_a_library_built_by_hand(tmp_path):
    install_library(tmp_path)
    assert find_library(tmp_path) == Library(
        "/usr/lib/aarch64-linux-gnu/libedgetpu.so.1", "libedgetpu1-std", "16.0tf2.19.1-1"
    )
    put(tmp_path, "usr/local/lib/libedgetpu.so.1")
    assert find_library(tmp_path) == Library("/usr/local/lib/libedgetpu.so.1")


def test_a_removed_package_is_not_an_installed_one(tmp_path):
    put(tmp_path, "usr/lib/x86_64-linux-gnu/libedgetpu.so.1")
    put(
        tmp_path,
        "var/lib/dpkg/status",
        "Package: libedgetpu1-std\nStatus: deinstall ok config-files\nVersion: 16.0\n",
    )
    assert find_library(tmp_path).version is None


def test_a_rule_with_one_identity_of_the_two_is_not_enough(tmp_path):
    put(tmp_path, "etc/udev/rules.d/99-edgetpu-accelerator.rules", USB_RULES.splitlines()[0] + "\n")
    finding = check_permission([Coral("usb", "2-1")], tmp_path, ["plugdev"])
    assert finding.severity == "error"
    assert "1a6e" in finding.remedy
    assert "9302" in finding.remedy


def test_a_rule_that_is_a_comment_is_none(tmp_path):
    put(tmp_path, "etc/udev/rules.d/99-x.rules", "# " + USB_RULES.replace("\n", "\n# "))
    assert check_permission([Coral("usb", "2-1")], tmp_path, ["plugdev"]).severity == "error"


def test_whoever_is_not_in_the_group_is_told_which(tmp_path):
    put(tmp_path, "etc/udev/rules.d/99-edgetpu-accelerator.rules", USB_RULES)
    corals = [Coral("usb", "2-1")]
    finding = check_permission(corals, tmp_path, ["video"])
    assert finding.severity == "error"
    assert "sudo adduser $USER plugdev" in finding.remedy
    assert check_permission(corals, tmp_path, ["video"], is_root=True).severity == "ok"
    put(tmp_path, "etc/udev/rules.d/99-edgetpu-accelerator.rules", USB_RULES.replace("\n", ',MODE="0666"\n'))
    assert check_permission(corals, tmp_path, ["video"]).severity == "ok"


def test_the_printed_rule_is_one_that_satisfies_the_check(tmp_path):
    """The remedy really runs, except for sudo, tee's folder and udev."""
    remedy = check_permission([Coral("usb", "2-1")], tmp_path, ["plugdev"]).remedy
    command = remedy.split(" | sudo tee ")[0]
    rules = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert rules == USB_RULES
    put(tmp_path, "etc/udev/rules.d/99-edgetpu-accelerator.rules", rules)
    assert check_permission([Coral("usb", "2-1")], tmp_path, ["plugdev"]).severity == "ok"


def test_a_card_with_its_driver_is_fine(tmp_path):
    plug_card(tmp_path)
    install_library(tmp_path)
    put(tmp_path, "etc/udev/rules.d/65-apex.rules", 'SUBSYSTEM=="apex", MODE="0660", GROUP="apex"\n')
    findings = coral_checks(tmp_path, runtime=LITERT, groups=["apex"], page_size=4096)
    assert set(severities(findings).values()) == {"ok"}
    assert find_corals(tmp_path) == [Coral("pci", "0000:01:00.0", node="/dev/apex_0")]


def test_a_card_without_driver_is_told_what_to_build(tmp_path):
    plug_card(tmp_path, driver=False)
    finding = check_pcie(find_corals(tmp_path), tmp_path)
    assert finding.severity == "error"
    assert "gasket-dkms" in finding.remedy


def test_on_a_pi_a_loaded_driver_without_device_means_the_overlays(tmp_path):
    plug_card(tmp_path, driver=False)
    (tmp_path / "sys/module/apex").mkdir(parents=True)
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert "pciex1-compat-pi5,no-mip" in check_pcie(find_corals(tmp_path), tmp_path).remedy


def test_large_pages_are_an_error_for_a_card_and_none_for_usb(tmp_path):
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    finding = check_pages(tmp_path, 16384)
    assert finding.severity == "error"
    assert "kernel=kernel8.img" in finding.remedy
    plug_usb(tmp_path)
    assert "kernel pages" not in severities(coral_checks(tmp_path, runtime=LITERT, page_size=16384))


@pytest.mark.parametrize(
    ("how", "severity", "found"),
    [
        ("", "ok", "fake_edgetpu.so loads"),
        ("0 a", "error", "ended by SIGABRT .*last words: F0000 fake_edgetpu: check failed at create"),
        ("0 f", "warning", "does not load: An Edge TPU does not start. Received: .*out of order"),
        ("h", "warning", "did not answer within 3 s"),
    ],
)
def test_the_library_that_a_run_loads_is_really_loaded(bus, how, severity, found):
    bus.misbehave("create", how)
    finding = check_delegate(lambda: probe(3.0 if how == "h" else WAIT), library_name())
    assert re.search(found, finding.text)
    assert finding.severity == severity
    if severity != "ok":
        assert ("feranick" if severity == "error" else "sudo systemctl stop quietcam") in finding.remedy


def test_a_missing_library_is_found_by_really_loading_it(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIETCAM_EDGETPU_LIBRARY", str(tmp_path / "libedgetpu.so.1"))
    finding = check_delegate(lambda: probe(WAIT))
    assert finding.severity == "error"
    assert "libedgetpu.so.1" in finding.text
    assert "feranick" in finding.remedy
