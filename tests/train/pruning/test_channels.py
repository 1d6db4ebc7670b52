"""Channel pruning: which channels are kept together, which are removed, and that dead channels cost nothing."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import tf_keras as keras
from hypothesis import given, settings
from hypothesis import strategies as st

from quietcam.app.cli import run
from quietcam.architecture import Architecture
from quietcam.data.crops import Crops
from quietcam.errors import UsageError
from train.losses import charbonnier
from train.model import build, convolutions, copy_convolutions
from train.pruning.channels import IMPORTANCES, importance, narrower_widths, plan_widths, remove_channels, wiring


@pytest.fixture(scope="module")
def architecture():
    return Architecture(widths=(16, 24, 32), depths=(2, 1, 2))


def scrambled(architecture, seed=0):
    """A network whose residual is not zero, with biases."""
    keras.utils.set_random_seed(seed)
    model = build(architecture)
    rng = np.random.default_rng(seed)
    for layer in convolutions(model).values():
        layer.kernel.assign(rng.normal(0, 0.1, layer.kernel.shape))
        layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    return model


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 6).map(lambda n: 8 * n), min_size=1, max_size=4),
    data=st.data(),
)
def test_groups_have_one_width_and_every_reader_a_writer(widths, data):
    depths = data.draw(st.lists(st.integers(1, 3), min_size=len(widths), max_size=len(widths)))
    architecture = Architecture(widths=tuple(widths), depths=tuple(depths), history=data.draw(st.integers(0, 1)))
    sizes = {convolution.name: convolution for convolution in architecture.convolutions()}
    wires = wiring(architecture)
    assert [wire.convolution for wire in wires] == list(sizes)
    width = {}
    for name, reads, writes in wires:
        assert width.setdefault(writes, sizes[name].outputs) == sizes[name].outputs
        assert width.setdefault(reads, sizes[name].inputs) == sizes[name].inputs


@pytest.mark.parametrize("kind", IMPORTANCES)
def test_channels_that_do_nothing_go_first_and_cost_nothing(architecture, kind, crops):
    model = scrambled(architecture)
    rng = np.random.default_rng(1)
    smaller_widths = (8, 16, 24)
    live = {}
    for name, _, writes in wiring(architecture):
        layer = convolutions(model)[name]
        kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
        if writes != "picture":
            keep = dict(zip(architecture.widths, smaller_widths, strict=True))[kernel.shape[-1]]
            live.setdefault(writes, rng.permutation(kernel.shape[-1])[:keep])
            dead = np.setdiff1d(np.arange(kernel.shape[-1]), live[writes])
            kernel[..., dead], bias[dead] = 0, 0
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    smaller, narrowed = remove_channels(
        architecture, model, smaller_widths, importance(architecture, model, kind, crops)
    )
    noisy = crops.noisy[:2].astype(np.float32) / 255
    assert smaller.widths == smaller_widths
    assert narrowed.count_params() == smaller.parameters < architecture.parameters
    np.testing.assert_allclose(narrowed(noisy), model(noisy), atol=2e-6)


def test_a_video_network_keeps_the_width_of_its_fusion(architecture, crops):
    video = replace(architecture, history=1)
    model = scrambled(video)
    smaller, narrowed = remove_channels(video, model, (8, 16, 24), importance(video, model, "l1"))
    assert smaller == replace(video, widths=(8, 16, 24))
    for name in ("differ", "weigh", "share"):
        np.testing.assert_array_equal(convolutions(narrowed)[name].kernel, convolutions(model)[name].kernel)
        np.testing.assert_array_equal(convolutions(narrowed)[name].bias, convolutions(model)[name].bias)
    ends = [side[:1].astype(np.float32) / 255 for side in (crops.noisy, crops.clean)]
    np.testing.assert_array_equal(narrowed(ends)[1], model(ends)[1])
    assert narrowed.get_layer("down1_0").filters == 16


def test_taylor_of_a_video_network_is_that_of_its_body_on_what_it_fused(architecture, crops):
    """By hand: the still network with the same body, on the fused frames."""
    video = replace(architecture, history=1)
    model, few = scrambled(video), Crops(crops.pairs[:4], crops.source[:4])
    history = np.roll(few.noisy, 1, axis=2)
    body = build(architecture)
    copy_convolutions(model, body)
    _, fused = model([few.noisy.astype(np.float32) / 255, history.astype(np.float32) / 255])
    pairs = np.stack([fused.numpy() * 255, few.clean], axis=1)
    expected = importance(architecture, body, "taylor", Crops(pairs, few.source))
    found = importance(video, model, "taylor", few, history)
    for group, scores in expected.items():
        np.testing.assert_allclose(found[group], scores, rtol=1e-3)
    assert np.abs(importance(video, model, "taylor", few)["skip0"] / expected["skip0"] - 1).max() > 0.01


def test_the_same_widths_are_the_same_network(architecture, crops):
    model = scrambled(architecture)
    _, same = remove_channels(architecture, model, architecture.widths, importance(architecture, model, "l1"))
    noisy = crops.noisy[:1].astype(np.float32) / 255
    np.testing.assert_array_equal(same(noisy), model(noisy))


def test_l1_by_hand(architecture):
    model = scrambled(architecture)
    kernel = convolutions(model)["up0_0"].kernel.numpy()
    expected = np.abs(kernel).sum((0, 1, 2))
    found = importance(architecture, model, "l1")["up0_0"]
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-5)


def test_taylor_foretells_what_the_loss_loses(crops):
    """The score against a difference quotient: how the loss moves as one filter is scaled by 0.98, squared."""
    architecture = Architecture(widths=(8,), depths=(1,))
    model = scrambled(architecture)
    few = Crops(crops.pairs[:8], crops.source[:8])
    noisy, clean = (side.astype(np.float32) / 255 for side in (few.noisy, few.clean))
    layer = convolutions(model)["down0_0"]
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    before, changes = float(charbonnier(clean, model(noisy))), []
    for channel in range(8):
        scaled, moved = kernel.copy(), bias.copy()
        scaled[..., channel] *= 0.98
        moved[channel] *= 0.98
        layer.kernel.assign(scaled)
        layer.bias.assign(moved)
        changes.append((float(charbonnier(clean, model(noisy))) - before) / 0.02)
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
    expected = np.square(changes)
    found = importance(architecture, model, "taylor", few)
    np.testing.assert_allclose(found["skip0"], expected / expected.mean(), rtol=0.15, atol=0.02)


def test_plan_goes_down_to_what_was_asked(architecture):
    model = scrambled(architecture)
    scores = importance(architecture, model, "l1")
    path = plan_widths(
        architecture, model, scores, 0.6 * architecture.gmacs(), measure=lambda net: float(net.count_params())
    )
    assert path[0].widths == architecture.widths
    assert path[-1].gmacs <= 0.6 * architecture.gmacs() < path[-2].gmacs
    for before, after in pairwise(path):
        assert after.widths in set(narrower_widths(before.widths))


def test_what_cannot_be_is_refused(architecture):
    model = scrambled(architecture)
    scores = importance(architecture, model, "l1")
    with pytest.raises(UsageError, match="must not make a level wider"):
        remove_channels(architecture, model, (16, 24, 40), scores)
    with pytest.raises(UsageError, match="multiple of 8"):
        remove_channels(architecture, model, (16, 20, 32), scores)
    with pytest.raises(UsageError, match="l1, taylor"):
        importance(architecture, model, "l2")
    with pytest.raises(UsageError, match="Received: none"):
        importance(architecture, model, "taylor")
    with pytest.raises(UsageError, match="at least 8 channels"):
        plan_widths(architecture, model, scores, 1e-6, measure=lambda _: 30.0)


def test_a_run_is_narrowed_from_the_command_line(pair_folder, tmp_path, capsys):
    whole, narrowed, both = tmp_path / "run", tmp_path / "run-narrow", tmp_path / "both"
    config = tmp_path / "c.toml"
    config.write_text(
        "[model]\nwidths = [16, 32]\ndepths = [1, 1]\n[training]\npatch = 32\nbatch = 4\nsteps = 12\ncrop = 64\n"
        "learning_rate = 2e-3\n[pruning]\nsteps = 20\nminutes = 1.0\n"
    )
    main = app_runner(capsys)
    assert main("train", config, "--data", pair_folder, "--out", whole)[0] == 0
    code, shown = main("prune", whole, "--data", pair_folder, "--channels", "0.4", "--json", tmp_path / "told.json")
    assert code == 0, shown
    before, after = (json.loads((each / "evaluation.json").read_text()) for each in (whole, narrowed))
    assert after["gmacs_256"] <= 0.6 * before["gmacs_256"]
    assert set(after["channel_pruning"]["paths"]) == set(IMPORTANCES)
    assert (narrowed / "pruning.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((tmp_path / "told.json").read_text())
    assert [row["GMACs"] for row in told["runs"]] == [before["gmacs_256"], after["gmacs_256"]]
    code, shown = main("prune", narrowed, "--data", pair_folder, "--sparsity", "0.5", "--out", both)
    assert code == 0, shown
    end = json.loads((both / "evaluation.json").read_text())
    assert end["sparsity"] == pytest.approx(0.5, abs=0.02)
    assert end["gmacs_256"] == after["gmacs_256"]
    assert set(end["magnitude_pruning"]["sensitivity"]) == {c.name for c in Architecture(**sizes(end)).convolutions()}
    for flags, message in (
        (("--channels", "0.4", "--sparsity", "0.5"), "one after the other"),
        (("--channels", "1.5"), "a number from 0.001 to 0.999"),
        (("--channels", "0.999"), "at least 8 channels"),
        (("--channels", "0.4", "--multiple", "4"), "a whole number from 8 to 16"),
        (("--channels", "0.4", "--importance", "l2"), "l1, taylor"),
    ):
        code, shown = main("prune", whole, "--data", pair_folder, "--out", tmp_path / "no", *flags)
        assert code == 2
        assert message in shown
        assert "Traceback" not in shown


def sizes(evaluation):
    found = evaluation["architecture"]
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


def app_runner(capsys):
    def main(*words):
        code = run(list(map(str, words)))
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return main
