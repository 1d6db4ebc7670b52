"""The processor's temperature, and the firmware's flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.run.degrade.temperature import Temperature


class TestTemperature:
    def zone(self, root: Path, number: int, kind: str, degrees: str) -> None:
        folder = root / "class/thermal" / f"thermal_zone{number}"
        folder.mkdir(parents=True)
        (folder / "type").write_text(f"{kind}\n")
        (folder / "temp").write_text(degrees)

    def test_the_warmest_zone_of_the_processor(self, tmp_path: Path) -> None:
        self.zone(tmp_path, 0, "cpu-thermal", "61322\n")
        self.zone(tmp_path, 1, "cpu-b", "64000\n")
        self.zone(tmp_path, 2, "iwlwifi_1", "91000\n")
        self.zone(tmp_path, 3, "cpu-broken", "-273000\n")
        assert Temperature(tmp_path).celsius() == 64.0

    def test_other_zones_where_there_is_none_and_none_at_all(self, tmp_path: Path) -> None:
        assert Temperature(tmp_path).celsius() is None
        self.zone(tmp_path, 0, "board", "40000\n")
        assert Temperature(tmp_path).celsius() == 40.0

    def test_a_temperature_is_not_read_all_the_time(self, tmp_path: Path) -> None:
        self.zone(tmp_path, 0, "cpu-thermal", "50000")
        now = [0.0]
        measured = Temperature(tmp_path, clock=lambda: now[0])
        assert measured.celsius() == 50.0
        (tmp_path / "class/thermal/thermal_zone0/temp").write_text("60000")
        assert measured.celsius() == 50.0
        now[0] = 1.0
        assert measured.celsius() == 60.0

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("0", None),
            ("50000", None),  # it happened once, and is over
            ("50005", "undervoltage, throttled"),
            ("throttled=0x4", "throttled"),
            ("throttled=0x8", "soft temperature limit"),
            ("nonsense", None),
        ],
    )
    def test_the_firmwares_flags_in_words(self, tmp_path: Path, text: str, says: str | None) -> None:
        assert Temperature(tmp_path, ask=lambda: text).throttled() == says
        flags = tmp_path / "devices/platform/soc/soc:firmware/get_throttled"
        flags.parent.mkdir(parents=True)
        flags.write_text(f"{text}\n")
        assert Temperature(tmp_path, ask=lambda: "throttled=0x2").throttled() == says

    def test_the_command_is_not_run_all_the_time(self, tmp_path: Path) -> None:
        asked: list[int] = []
        now = [0.0]

        def ask() -> str:
            asked.append(1)
            return "throttled=0x4"

        measured = Temperature(tmp_path, clock=lambda: now[0], ask=ask)
        for second in range(20):
            now[0] = float(second)
            assert measured.throttled() == "throttled"
        assert len(asked) == 2
