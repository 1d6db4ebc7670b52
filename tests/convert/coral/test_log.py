"""Logs from public issues: every figure is read correctly."""

import pytest

from convert.coral.log import explain_failure, parse_log, parse_version

# Shortened from the forms in google-coral/edgetpu #490 and #433 (compiler 16) and #393 (15).
SIXTEEN = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 1354 ms.

Input model: some_model.tflite
Input size: 5.10MiB
Output model: some_model_edgetpu.tflite
Output size: 6.28MiB
On-chip memory used for caching model parameters: 6.03MiB
On-chip memory remaining for caching model parameters: 1.21MiB
Off-chip memory used for streaming uncached model parameters: 41.75KiB
Number of Edge TPU subgraphs: 2
Total number of operations: 13
Operation log: some_model_edgetpu.log

Operator                       Count      Status

DEQUANTIZE                     2          Operation is working on an unsupported data type
CONV_2D                        4          Mapped to Edge TPU
CONV_2D                        1          More than one subgraph is not supported
RESIZE_NEAREST_NEIGHBOR        1          Operation version not supported
RESHAPE                        5          Tensor has unsupported rank (up to 3 innermost dimensions mapped)
Compilation child process completed within timeout period.
Compilation succeeded!
"""


def test_a_log_of_16_is_read():
    log = parse_log(SIXTEEN)
    assert log.version == "16.0.384591198"
    assert log.milliseconds == 1354
    assert log.used == round(6.03 * 2**20)
    assert log.remaining == round(1.21 * 2**20)
    assert log.streamed == round(41.75 * 2**10)
    assert log.subgraphs == 2
    assert [(op.kind, op.count) for op in log.ops] == [
        ("DEQUANTIZE", 2),
        ("CONV_2D", 4),
        ("CONV_2D", 1),
        ("RESIZE_NEAREST_NEIGHBOR", 1),
        ("RESHAPE", 5),
    ]
    assert log.mapped == {"CONV_2D": 4}
    assert log.on_cpu == {"DEQUANTIZE": 2, "CONV_2D": 1, "RESIZE_NEAREST_NEIGHBOR": 1, "RESHAPE": 5}
    assert log.ops[4].status.endswith("innermost dimensions mapped)")


def test_an_older_log_without_its_table_is_read_as_far_as_it_goes():
    log = parse_log("Edge TPU Compiler version 15.0.340273435\n\nModel compiled successfully in 787 ms.\n")
    assert (log.version, log.milliseconds, log.used, log.ops) == ("15.0.340273435", 787, None, ())


@pytest.mark.parametrize("text", ["", "Edge TPU Compiler version 16.0\nInternal compiler error. Aborting!", "nonsense"])
def test_a_log_without_success_is_a_failure(text):
    assert parse_log(text) is None


def test_a_success_that_is_taken_back_is_none():
    assert parse_log(SIXTEEN.replace("Compilation succeeded!", "Compilation failed!")) is None


def test_the_version_is_found_or_none():
    assert parse_version("Edge TPU Compiler version 2.1.302470888\n") == "2.1.302470888"
    assert parse_version("gcc version 12") is None


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("ERROR: Didn't find op for builtin opcode 'DEPTH_TO_SPACE' version '2'", "version 2 of DEPTH_TO_SPACE"),
        ("Invalid model: x.tflite\nModel not quantized", "not quantized"),
        ("ERROR: Encountered unresolved custom op: Atan.", "custom operator Atan"),
        ("/usr/bin/edgetpu_compiler: line 3: 1531 Segmentation fault      (core dumped)", "it crashed"),
        ("Started a compilation timeout timer of 1 seconds.\nCompilation timed out", "time limit"),
        ("Compilation failed: something new", "something new"),
    ],
)
def test_what_is_known_to_be_said_is_explained(said, word):
    failure = explain_failure(said, 1)
    assert word in failure.cause
    assert failure.remedy


def test_the_line_about_the_timer_is_no_timeout():
    failure = explain_failure("Started a compilation timeout timer of 180 seconds.\nCompilation failed! ", 1)
    assert "without a reason" in failure.cause


def test_what_is_not_known_is_quoted():
    assert "what a surprise" in explain_failure("first\nwhat a surprise", 7).cause
    assert "signal 11" in explain_failure("", -11).cause
