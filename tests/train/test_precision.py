"""bfloat16 is chosen on the CPUs on which we measured that it is faster."""

import pytest

from train import precision

INTEL, AMD = "vendor_id : GenuineIntel", "vendor_id : AuthenticAMD"


@pytest.mark.parametrize(
    ("cpuinfo", "fast"),
    [
        (f"{AMD}\nflags : avx512f avx512_bf16", True),
        (f"{AMD}\nflags : avx512f", False),
        (f"{INTEL}\nflags : avx512f avx512_bf16", False),
        (f"{INTEL}\nflags : avx512f avx512_bf16 amx_bf16", True),
        ("Features : fp asimd bf16", False),
    ],
)
def test_bfloat16_is_taken_where_it_is_faster(tmp_path, cpuinfo, fast):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert precision._has_fast_bfloat16(tmp_path / "cpuinfo") is fast


def test_float32_where_nothing_is_told(tmp_path):
    assert not precision._has_fast_bfloat16(tmp_path / "none")
