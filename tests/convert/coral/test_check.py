"""The preflight on graphs that TensorFlow converts, each of which breaks one rule or none."""

import numpy as np
import pytest

from convert.coral.check import check_content, check_model
from convert.coral.conditions import EVERY_OP
from convert.coral.rules import RULES, Verdict, judge
from edge.models import shipped_models
from quietcam.tflite.graph import read_graph

from .graphs import SIDE, edited, graph, too_many_parameters


def check(name):
    return check_content(graph(name), name)


def test_a_plain_graph_maps_and_has_an_estimate():
    report = check("good")
    assert report.holds
    assert [op.kind for op in report.ops] == ["CONV_2D", "CONV_2D"]
    assert {op.verdict for op in report.ops} == {Verdict.TPU}
    assert {each.bus for each in report.estimates} == {"USB 3", "USB 2", "PCIe"}
    assert "all 2 operators are expected to run on the Edge TPU" in report.verdict


@pytest.mark.parametrize(
    ("name", "first", "word", "remedy"),
    [
        ("depth_to_space", "DEPTH_TO_SPACE", "no such operator", "--target coral"),
        ("leaky_relu", "LEAKY_RELU", "no leaky ReLU", "ReLU6"),
        ("resize_too_large", "RESIZE_NEAREST_NEIGHBOR", "at most 128", "smaller tile"),
        ("transposed_same", "TRANSPOSE_CONV", "VALID", "RESIZE"),
        ("strided_slice", "STRIDED_SLICE", "strides of 1", ""),
        ("float", "CONV_2D", "8-bit", "--recipe int8"),
        ("batch", "CONV_2D", "batch 1", "batch of 1"),
    ],
)
def test_what_falls_back_is_named_with_its_remedy_and_takes_the_rest_along(name, first, word, remedy):
    report = check(name)
    assert not report.holds
    assert report.first_on_cpu.kind == first
    assert word in report.verdict
    assert remedy in report.verdict
    assert report.estimates == ()
    # All behind the first one stays on the CPU, too.
    assert not any(op.on_tpu for op in report.ops[report.first_on_cpu.number :])


def test_what_stands_before_the_fall_is_on_the_chip():
    report = check("leaky_relu")
    assert [op.on_tpu for op in report.ops] == [True, False, False]
    assert report.ops[2].verdict is Verdict.TPU  # it would map
    assert report.expected_log == {"CONV_2D": 1}


def test_dynamic_sizes_are_a_fault_of_the_whole():
    report = check("dynamic")
    assert not report.holds
    assert "dynamic size" in report.faults[0]
    assert "convert with a fixed size" in report.faults[0]
    assert report.on_tpu == 0


def test_float_ends_leave_a_quantize_in_front_and_a_dequantize_behind():
    report = check("float_ends")
    assert [(op.kind, op.on_tpu) for op in report.ops] == [
        ("QUANTIZE", False),
        ("CONV_2D", True),
        ("CONV_2D", True),
        ("DEQUANTIZE", False),
    ]
    assert report.first_on_cpu.kind == "DEQUANTIZE"


@pytest.mark.parametrize("name", ["resize", "pool", "mean", "pad", "concat"])
def test_what_coral_lists_maps(name):
    report = check(name)
    assert report.holds, report.verdict
    assert report.open == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("resize_bilinear_in_doubt", "RESIZE_BILINEAR"),
        ("resize_in_doubt", "RESIZE_NEAREST_NEIGHBOR"),
        ("transposed_valid", "TRANSPOSE_CONV"),
        ("reshape", "RESHAPE"),
    ],
)
def test_unknown_mappings_are_reported_as_open(name, kind):
    report = check(name)
    (op,) = [op for op in report.ops if op.verdict is Verdict.OPEN]
    assert op.kind == kind
    assert report.holds
    assert "this is not certain" in report.verdict


def test_parameters_beyond_the_chip_are_a_finding():
    report = check_content(too_many_parameters(), "wide")
    assert report.memory.parameters > 8 << 20
    assert report.memory.streamed == report.memory.parameters - report.memory.cached > 0
    assert not report.holds
    assert "but only 7.7 fit" in report.verdict
    assert report.on_cpu == 0


def test_a_version_that_the_compiler_does_not_read_refuses_the_whole_model():
    def raise_version(model, kinds):
        del kinds
        model.operatorCodes[0].version = 6

    report = check_content(edited(graph("good"), raise_version), "new")
    assert report.refused
    assert report.on_tpu == 0
    assert "version 5 at most, has 6" in report.verdict
    assert "older TensorFlow" in report.verdict


def test_several_subgraphs_are_refused_in_one_line():
    def double(model, kinds):
        del kinds
        model.subgraphs = [model.subgraphs[0], model.subgraphs[0]]

    report = check_content(edited(graph("good"), double), "loop")
    assert not report.holds
    assert "2 subgraphs" in report.verdict


def test_an_output_listed_twice_is_a_fault():
    def twice(model, kinds):
        del kinds
        subgraph = model.subgraphs[0]
        subgraph.outputs = np.array([subgraph.outputs[0]] * 2, np.int32)
        model.signatureDefs = []

    report = check_content(edited(graph("good"), twice), "twice")
    assert not report.holds
    assert "listed twice" in report.faults[0]


def test_tensors_and_constants_that_are_there_twice_are_remarks():
    def repeat(model, kinds):
        del kinds
        tensors = model.subgraphs[0].tensors
        first, second = [each for each in tensors if each.shape is not None and list(each.shape) == [8, 3, 3, 8]] * 2
        del first
        copy = type(second)()
        copy.__dict__.update(second.__dict__)
        tensors.append(copy)

    report = check_content(edited(graph("good"), repeat), "copies")
    assert report.holds
    assert any("several tensors are called" in each for each in report.remarks)
    assert any("stored more than once" in each for each in report.remarks)


def test_an_activation_without_scale_does_not_map():
    def forget(model, kinds):
        del kinds
        model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].outputs[0])].quantization = None

    report = check_content(edited(graph("good"), forget), "bare")
    assert report.on_tpu == 0
    assert "one scale and zero point" in report.verdict


def test_weights_that_are_computed_do_not_map():
    def empty(model, kinds):
        del kinds
        weights = model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].inputs[1])]
        model.buffers[weights.buffer].data = None

    report = check_content(edited(graph("good"), empty), "computed")
    assert not report.ops[0].on_tpu
    assert any("constant weights" in each.text for each in report.ops[0].broken)


def test_weights_scaled_along_the_wrong_axis_do_not_map():
    def shorten(model, kinds):
        del kinds
        weights = model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].inputs[1])]
        weights.quantization.scale = weights.quantization.scale[:3]
        weights.quantization.zeroPoint = weights.quantization.zeroPoint[:3]

    report = check_content(edited(graph("good"), shorten), "axis")
    assert any("one for each output channel" in each.text for each in report.ops[0].broken)
    assert check("good").per_channel == 2


def test_a_custom_operator_at_the_end_stays_on_the_cpu_and_the_rest_maps():
    """PoseNet, BodyPix and SSD end in one, and Google published them compiled."""

    def end_in_one(model, kinds):
        code = kinds.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kinds.BuiltinOperator.CUSTOM
        code.customCode = b"PosenetDecoderOp"
        model.operatorCodes.append(code)
        last = model.subgraphs[0].operators[-1]
        last.opcodeIndex = len(model.operatorCodes) - 1
        last.builtinOptions, last.builtinOptionsType = None, 0

    report = check_content(edited(graph("pool"), end_in_one), "pose")
    assert [op.on_tpu for op in report.ops] == [True, True, False]
    assert not report.refused
    assert "beginning with number 2: CUSTOM PosenetDecoderOp: a custom operator runs on the CPU" in report.verdict


def test_what_does_not_need_what_stays_on_the_cpu_maps_wherever_it_stands():
    """MoveNet's heads, one after the other in the file: each maps up to its own end."""

    def fallen_first(model, kinds):
        del kinds
        first, *rest = model.subgraphs[0].operators
        leaky = next(op for op in rest if type(op.builtinOptions).__name__ == "LeakyReluOptionsT")
        reader = next(op for op in rest if leaky.outputs[0] in op.inputs)
        others = [op for op in rest if op not in (leaky, reader)]
        model.subgraphs[0].operators = [first, leaky, reader, *others]

    report = check_content(edited(graph("two_heads"), fallen_first), "heads")
    kinds = [(op.kind, op.on_tpu) for op in report.ops]
    assert kinds[:3] == [("CONV_2D", True), ("LEAKY_RELU", False), ("CONV_2D", False)]
    assert kinds[3:] == [("CONV_2D", True), ("CONV_2D", True)]
    assert (report.on_tpu, report.on_cpu) == (3, 2)
    assert report.memory.widest in (0, 3, 4)


@pytest.mark.parametrize(
    ("name", "maps"), [("aligned", True), ("aligned_from_a_pixel", False), ("tile", True), ("resize_bilinear", True)]
)
def test_spreading_a_pixel_maps_by_tile_and_not_by_a_resize_with_aligned_corners(name, maps):
    """DeepLab v3's two ways of it, as Google published them compiled; half pixel centers up to 48, as in MoveNet."""
    report = check(name)
    (op,) = [op for op in report.ops if op.kind in ("RESIZE_BILINEAR", "TILE")]
    assert op.on_tpu is maps
    assert (op.verdict is Verdict.TPU) is maps
    assert any("an input of more than one pixel" in each.text for each in op.broken) is not maps


def test_an_lstm_of_8_bits_maps_though_its_cell_has_16():
    def remember(model, kinds):
        """The first convolution turned into an LSTM, whose cell state is the last input."""
        code = model.operatorCodes[0]
        code.builtinCode = kinds.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
        subgraph = model.subgraphs[0]
        (op,) = subgraph.operators = subgraph.operators[:1]
        subgraph.outputs = np.array(op.outputs, np.int32)
        model.signatureDefs = []
        cell = kinds.TensorT()
        cell.type, cell.shape, cell.name, cell.buffer = kinds.TensorType.INT16, np.array([1, 8], np.int32), b"cell", 0
        cell.quantization = kinds.QuantizationParametersT()
        cell.quantization.scale, cell.quantization.zeroPoint = np.array([0.001], np.float32), np.array([0], np.int64)
        subgraph.tensors.append(cell)
        op.inputs = np.append(op.inputs, len(subgraph.tensors) - 1).astype(np.int32)
        op.builtinOptions, op.builtinOptionsType = None, 0

    content = edited(graph("good"), remember)
    report = check_content(content, "lstm")
    assert report.ops[0].kind == "UNIDIRECTIONAL_SEQUENCE_LSTM"
    assert report.holds, report.verdict


def test_a_remedy_names_the_model_that_was_checked(tmp_path):
    path = tmp_path / "my model.tflite"
    path.write_bytes(graph("depth_to_space"))
    assert f"`quietcam convert '{path}' --target coral` makes such a graph" in check_model(path).verdict


def test_every_shipped_model_has_a_verdict_that_fits_its_kind():
    for path in shipped_models():
        report = check_model(path)
        kinds = {op.kind for op in report.ops}
        if "float" in path.name:
            assert report.on_tpu == 0, path.name
        elif "DEPTH_TO_SPACE" in kinds:
            assert report.first_on_cpu is not None, path.name
            assert not report.holds
        else:
            assert report.holds, f"{path.name}: {report.verdict}"


def test_a_model_that_ends_one_operator_earlier_holds_where_the_whole_one_does_not():
    whole = next(path for path in shipped_models() if path.name == "demo_256x256_int8.tflite").read_bytes()

    def end_earlier(model, kinds):
        del kinds
        subgraph = model.subgraphs[0]
        last = subgraph.operators.pop()
        subgraph.outputs = np.array([last.inputs[0]], np.int32)
        model.signatureDefs = []

    report = check_content(edited(whole, end_earlier), "demo_coral")
    assert report.holds
    assert report.on_cpu == 0
    assert not check_content(whole, "demo").holds


def test_every_rule_names_its_source_and_how_it_is_known():
    conditions = [*EVERY_OP, *(each for rule in RULES.values() for each in rule.conditions)]
    for source in [*(each.source for each in conditions), *(rule.source for rule in RULES.values())]:
        assert source.how in ("read", "derived", "measured", "seen")
        assert len(source.text) > 10
    for kind, rule in RULES.items():
        assert rule.maps or rule.why, kind


def test_an_unlisted_operator_stays_on_the_cpu():
    op = read_graph(graph("good")).ops[0]
    strange = type(op)("COMPLEX_ABS", 1, op.inputs, op.outputs, None)
    verdict, findings = judge(strange)
    assert verdict is Verdict.CPU
    assert "not in Coral's table" in findings[0].text


def test_too_few_inputs_are_no_crash():
    op = read_graph(graph("good")).ops[0]
    verdict, _ = judge(type(op)("PRELU", 1, op.inputs[:1], op.outputs, None))
    assert verdict is Verdict.OPEN


def test_the_side_of_the_test_graphs_is_what_the_shapes_say():
    assert read_graph(graph("good")).inputs[0].shape == (1, SIDE, SIDE, 3)
