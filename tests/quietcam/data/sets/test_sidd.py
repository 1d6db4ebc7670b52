"""SIDD's instance names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietcam.data.sets.sidd import Instance

INSTANCES = st.builds(
    Instance,
    instance=st.from_regex(r"[0-9]{4}", fullmatch=True),
    scene=st.from_regex(r"[0-9]{3}", fullmatch=True),
    phone=st.sampled_from(["GP", "IP", "S6", "N6", "G4"]),
    iso=st.integers(50, 10000),
    shutter=st.integers(1, 99999),
    temperature=st.integers(1000, 9999),
    brightness=st.sampled_from("LNH"),
)


def test_the_first_instance_field_by_field():
    assert Instance.parse("0001_001_S6_00100_00060_3200_L") == Instance("0001", "001", "S6", 100, 60, 3200, "L")


@given(INSTANCES)
def test_round_trip(instance):
    assert Instance.parse(instance.name) == instance
    assert Instance.parse(instance.name.lower()) == instance


@pytest.mark.parametrize("behind", ["_010", "__yd_s2", "-crop", ".png", " copy"])
def test_more_may_stand_behind(behind):
    found = Instance.parse("0090_004_IP_01600_00750_5500_N" + behind)
    assert found is not None
    assert (found.scene, found.phone, found.iso, found.brightness) == ("004", "IP", 1600, "N")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "scene_000001",
        "0001_001_S6_00100_00060_3200",
        "0001_001_S6_00100_00060_3200_X",
        "0001_001_S6_00100_00060_3200_LOW",
        "001_001_S6_00100_00060_3200_L",
        "0001_001_S6_ISO100_00060_3200_L",
        "crop_0001_001_S6_00100_00060_3200_L",
    ],
)
def test_other_names_are_none_of_them(name):
    assert Instance.parse(name) is None


@given(st.text(max_size=40))
def test_any_text_gives_an_instance_or_none(text):
    found = Instance.parse(text)
    assert found is None or text.lower().startswith(found.name.lower())
