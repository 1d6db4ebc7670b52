"""Instructions are read from /proc/cpuinfo, whose flags are those of the processors' own manuals."""

from __future__ import annotations

import pytest

from edge.network.runtime.instructions import instructions, instructions_here

PI_3 = "Features\t: fp asimd evtstrm crc32 cpuid\n"  # Cortex-A53; a Pi 4's Cortex-A72 tells the same
PI_5 = (
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
)


@pytest.mark.parametrize(
    ("cpuinfo", "architecture", "name", "dot_product"),
    [
        ("flags\t\t: fpu sse4_2 avx avx2 fma avx512f avx512bw avx512_vnni", "x86_64", "AVX512 with VNNI", True),
        ("flags\t\t: fpu sse4_2 avx avx2 fma avx_vnni", "x86_64", "AVX2 with VNNI", True),
        ("flags\t\t: fpu sse4_2 avx avx2 fma avx512f avx512bw", "x86_64", "AVX512 without VNNI", False),
        ("flags\t\t: fpu sse4_2 avx avx2 fma", "x86_64", "AVX2 without VNNI", False),
        (PI_3 * 4, "aarch64", "NEON without dot products", False),
        (PI_5 * 4, "aarch64", "NEON with dot products", True),
        (PI_5.replace("asimddp", "asimddp i8mm"), "aarch64", "NEON with int8 matrix products", True),
        ("Features\t: half thumb fastmult vfp edsp neon vfpv3", "armv7l", "NEON without dot products", False),
        (PI_5 + PI_3, "aarch64", "NEON without dot products", False),
        ("", "riscv64", "riscv64 (instructions not known)", None),
        ("flags\t\t: fpu sse2", "x86_64", "x86_64 (instructions not known)", None),
    ],
)
def test_the_best_instructions_that_all_cores_have_are_named(cpuinfo, architecture, name, dot_product):
    found = instructions(cpuinfo, architecture)
    assert (found.name, found.int8_dot_product) == (name, dot_product)


def test_the_meaning_says_whether_int8_is_faster_than_float():
    faster, alike, unknown = (
        instructions(text, "x86_64").meaning for text in ("flags : avx512_vnni", "flags : avx2", "")
    )
    assert "several times as fast as its float twin" in faster
    assert "little or no faster than its float twin" in alike
    assert "Measure" in unknown


def test_this_machine_is_told_for_a_report():
    found = instructions_here()
    assert found.report() == {
        "name": found.name,
        "int8_dot_product": found.int8_dot_product,
        "meaning": found.meaning,
    }
