"""`denoise=temporal`, with a stand-in for picamera2 and files like libcamera's. **Not yet run on hardware.**"""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest

from edge.cameras.picamera.camera import PicameraCamera, PicameraOptions
from edge.cameras.picamera.tuning import temporal_only
from quietcam.errors import UsageError
from tests.edge.cameras.picamera.picamera2_stand_in import Sensor

STAGES = {
    "sdn": {"deviation": 0.6, "strength": 0.95, "deviation2": 3.2, "deviation_no_tdn": 3.2, "strength_no_tdn": 0.95},
    "cdn": {"deviation": 200, "strength": 0.3},
    "tdn": {"deviation": 1.0, "threshold": 0.05},
}
TEMPORAL = {"tdn": {"deviation": 1.0, "threshold": 0.05}}
OTHER = {"rpi.black_level": {"black_level": 4096}}
OPTIONS = PicameraOptions.parse("size=64x48,denoise=temporal")


def tuning(denoise: dict[str, Any], name: str = "rpi.denoise") -> dict[str, Any]:
    return {"version": 2.0, "target": "pisp", "algorithms": [OTHER, {name: copy.deepcopy(denoise)}]}


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> Sensor:
    sensor = Sensor()
    monkeypatch.setitem(sys.modules, "picamera2", sensor.module())
    return sensor


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"normal": STAGES, "hdr": STAGES, "night": STAGES}, dict.fromkeys(("normal", "hdr", "night"), TEMPORAL)),
        (STAGES, TEMPORAL),  # as imx477_scientific.json
    ],
)
def test_the_camera_gets_a_tuning_with_the_temporal_stage_alone(
    sensor: Sensor, given: dict[str, Any], left: dict[str, Any]
) -> None:
    sensor.tunings["imx219.json"] = tuning(given)
    with PicameraCamera(OPTIONS) as camera:
        assert sensor.tuning == tuning(left)
        assert sensor.configured["controls"]["NoiseReductionMode"] != 0, "in the mode off, no stage runs"
        assert camera.isp_denoise is True
    assert sensor.tunings["imx219.json"] == tuning(given), "the system's own is not changed"


def test_a_tuning_of_version_1_has_its_algorithms_side_by_side() -> None:
    assert temporal_only({"rpi.denoise": copy.deepcopy(STAGES)}, "old.json") == {"rpi.denoise": TEMPORAL}


def test_a_monochrome_sensor_has_a_file_of_its_own(sensor: Sensor) -> None:
    sensor.tunings["imx219_mono.json"] = tuning(STAGES)
    with PicameraCamera(OPTIONS):
        assert sensor.tuning == tuning(TEMPORAL)


@pytest.mark.parametrize("denoise", ["off", "fast", "hq", "minimal"])
def test_every_other_mode_leaves_the_tuning_to_libcamera(sensor: Sensor, denoise: str) -> None:
    with PicameraCamera(PicameraOptions.parse(f"size=64x48,denoise={denoise}")):
        assert sensor.tuning is None


@pytest.mark.parametrize(
    ("files", "received"),
    [
        ({}, "no imx219.json or imx219_mono.json"),
        ({"imx219.json": tuning(STAGES, "rpi.sdn")}, "imx219.json without one"),  # a Raspberry Pi before the 5
        ({"imx219.json": tuning({"normal": {"sdn": {}}})}, "imx219.json without one"),
    ],
)
def test_a_camera_without_a_temporal_stage_is_refused_in_one_line(
    sensor: Sensor, files: dict[str, Any], received: str
) -> None:
    sensor.tunings = files
    with pytest.raises(UsageError, match=rf"denoise=temporal.* Received: {received}.*Remedy: `denoise=off`") as error:
        PicameraCamera(OPTIONS).open()
    assert "\n" not in str(error.value)
    assert sensor.opened == 0
