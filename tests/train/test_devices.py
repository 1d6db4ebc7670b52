"""Several devices or workers compute what one device computes; a batch that they cannot share equally is refused."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from quietcam.app.cli import run
from quietcam.errors import UsageError
from tests.ports import free_ports
from tests.waiting import WAIT
from train.config import RunConfig
from train.devices import Devices, choose_devices, choose_xla, is_chief
from train.run_directory.state import read_state
from train.runs.train import check_train_run

CONFIG = """
[model]
widths = [8, 16]
depths = [1, 1]
[training]
patch = 32
batch = 8
steps = 16
minutes = 30.0
crop = 64
learning_rate = 5e-3
precision = "float32"
average = 0.9
seed = 3
"""

# One process with two logical devices, as one with two GPUs, XLA on; TensorFlow takes logical ones of the CPU alone.
TWO_DEVICES = """
import sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import train.runs.train
from quietcam.app.cli import run
from train.devices import Devices
train.runs.train.choose_devices = lambda: Devices(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
sys.exit(max(run(words.split("|")) for words in sys.argv[1:]))
"""


# TensorFlow gives a worker up that does not answer for ten seconds, as on a busy machine. Its check of the others'
# health stays on: with it the workers wait for each other at the start.
WORKER = f"""
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended

CollectiveAllReduceExtended._check_health_timeout = {int(WAIT)}
from quietcam.app.cli import main

main()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pair_folder):
    """The same training on one device, on two devices with XLA, and by two workers on loopback."""
    folder = tmp_path_factory.mktemp("devices")
    (folder / "c.toml").write_text(CONFIG)
    (folder / "xla.toml").write_text(CONFIG + 'xla = "on"\n')
    (folder / "half.toml").write_text(CONFIG.replace("float32", "mixed_float16") + 'xla = "on"\n')

    def words(config, name):
        return ["train", str(folder / config), "--data", str(pair_folder), "--out", str(folder / name)]

    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    both = ["|".join(words(*each)) for each in (("xla.toml", "two_devices"), ("half.toml", "two_in_half"))]
    commands = {"two_devices": ([sys.executable, "-c", TWO_DEVICES, *both], {})}
    for index in range(2):
        cluster = json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}})
        commands[f"worker{index}"] = (
            [sys.executable, "-c", WORKER, *words("c.toml", "two_workers")],
            {"TF_CONFIG": cluster},
        )
    started = {
        name: subprocess.Popen(
            command,
            env={**os.environ, **cluster, "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, (command, cluster) in commands.items()
    }
    try:
        assert run(words("c.toml", "one")) == 0
        said = {name: each.communicate()[0] for name, each in started.items()}
    finally:
        for each in started.values():
            each.kill()
    assert [each.returncode for each in started.values()] == [0] * len(started), "\n".join(said.values())
    return folder, said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two_devices", "two_workers"])
def test_together_they_compute_what_one_does(runs, name):
    folder, _ = runs
    one, several = (read_state(folder / each / "checkpoints" / "train.npz") for each in ("one", name))
    assert [row["step"] for row in several.rows] == list(range(1, 17))
    # Muon raises what rounding leaves in the weakest directions of a gradient.
    for column, tolerance in (("loss", 1e-4), ("validation_psnr", 1e-4), ("learning_rate", 0)):
        ours, theirs = ([row[column] for row in state.rows] for state in (one, several))
        np.testing.assert_allclose(theirs, ours, rtol=tolerance)
    for ours, theirs in zip(one.weights + one.average, several.weights + several.average, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=3e-4)


@pytest.mark.slow
def test_two_devices_in_float16_with_scaled_losses_come_near(runs):
    folder, _ = runs
    one, half = (read_state(folder / each / "checkpoints" / "train.npz") for each in ("one", "two_in_half"))
    np.testing.assert_allclose([row["loss"] for row in half.rows], [row["loss"] for row in one.rows], rtol=2e-3)


@pytest.mark.parametrize("index", [0, 1])
def test_a_late_worker_does_not_stumble_over_what_the_chief_has_begun(index, tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("")
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    if index == 0:
        with pytest.raises(UsageError, match="A run directory must contain only one run"):
            check_train_run(RunConfig(), tmp_path)
    else:
        assert check_train_run(RunConfig(), tmp_path).model is None


@pytest.mark.slow
def test_only_the_chief_writes_and_tells(runs):
    folder, said = runs
    assert "dB denoised" in said["worker0"]
    assert "dB denoised" not in said["worker1"]
    told = [json.loads((folder / name / "evaluation.json").read_text()) for name in ("one", "two_workers")]
    assert told[1]["validation"]["psnr"] == pytest.approx(told[0]["validation"]["psnr"], abs=2e-3)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "{}",
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:2"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_tf_config_that_names_no_worker(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match="must name all workers and the index"):
        choose_devices()


def test_one_worker_alone_needs_no_others(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}')
    assert choose_devices().workers == 1
    assert is_chief()
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}')
    assert not is_chief()


def test_workers_that_were_told_different_things(monkeypatch):
    Devices().check_alike("this")
    monkeypatch.setattr(Devices, "agree", lambda _, value: value + 1)
    with pytest.raises(UsageError, match="the same config, data and versions"):
        Devices(workers=2).check_alike("that")


def test_all_gpus_are_taken_and_compiled_for(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert choose_devices().replicas == 1
    assert not choose_xla("auto")
    gpus = ["GPU:0", "GPU:1"]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus if kind == "GPU" else [])
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "all of them")
    assert choose_devices().strategy == "all of them"
    assert choose_xla("auto")
    del gpus[1]
    assert choose_devices().replicas == 1


def test_a_batch_without_equal_slices_is_refused():
    class Four:
        num_replicas_in_sync = 4

    with pytest.raises(UsageError, match=r"number of devices, 4\. Received: batch=18\. Remedy: batch = 16"):
        Devices(Four()).check_batch(18)
    Devices(Four()).check_batch(16)


def test_xla_by_its_name():
    assert choose_xla("on")
    assert not choose_xla("off")
