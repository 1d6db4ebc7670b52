"""Models that the Edge TPU's compiler has been over: recognized by its operator, described by its package."""

import pytest

from convert.coral.check import check_content

from .graphs import compiled, graph, package


def test_a_compiled_model_is_recognized_and_described():
    report = check_content(compiled(graph("good")), "good_edgetpu")
    assert report.holds
    assert (report.compiled.programs, report.compiled.runtime, report.compiled.compiler) == (1, 14, "16.0.384591198")
    assert "already compiled" in report.verdict


def test_a_compiled_model_that_was_split_says_what_stayed():
    report = check_content(compiled(graph("leaky_relu"), left=2), "split_edgetpu")
    assert not report.holds
    assert report.compiled.on_cpu == ("LEAKY_RELU", "CONV_2D")
    assert "Remedy: `quietcam coral check` of the model that it was compiled from" in report.verdict
    assert "2 operators left on the CPU" in report.verdict


@pytest.mark.parametrize(("text", "said"), [("cl/", None), ("cl/343520747", "cl/343520747"), ("", None)])
def test_a_build_without_a_number_is_no_version(text, said):
    report = check_content(compiled(graph("good"), options=package(12, text)), "build_edgetpu")
    assert (report.compiled.runtime, report.compiled.compiler) == (12, said)


@pytest.mark.parametrize("options", [b"", b"DWN1", b"\0\0\0\0DWN1\xff\xff", b"\xff\xff\xff\x7fDWN1" + b"\xff" * 40])
def test_a_program_that_cannot_be_read_is_no_reason_to_fail(options):
    report = check_content(compiled(graph("good"), options=options), "odd_edgetpu")
    assert (report.compiled.runtime, report.compiled.compiler) == (None, None)
