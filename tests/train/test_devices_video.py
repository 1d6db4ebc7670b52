"""Two devices teach a video network what one teaches it."""

import json
import subprocess
import sys

import numpy as np
import pytest

# A process of its own: TensorFlow takes logical devices of the CPU only before it has used it.
STEPS = """
import json
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import tf_keras as keras
from quietcam.architecture import Architecture
from train.config import VideoConfig
from train.devices import Devices
from train.model import build
from train.step import Step

rng = np.random.default_rng(0)
frames = tf.constant(rng.integers(0, 256, (4, 3, 16, 16, 3), np.uint8))
batch = frames, frames[:, 1:] // 2, tf.constant([True, False, True, True])
found = []
for devices in Devices(), Devices(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with devices.strategy.scope():
        keras.utils.set_random_seed(1)
        model = build(Architecture(stem=2, widths=(8,), depths=(1,), history=1))
        adam = keras.optimizers.Adam(1e-2, global_clipnorm=1.0)
        adam.build(model.trainable_variables)
    take = Step(model, adam, [], 0.9, devices, video=VideoConfig(unroll=2, lead=1, fused_weight=1.0))
    found.append([devices.replicas, [take(*batch) for _ in range(3)]])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_teach_a_video_network_what_one_does():
    """The second of four sequences has no history, so the two halves of the batch differ."""
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (one, alone), (two, together) = json.loads(done.stdout.splitlines()[-1])
    assert (one, two) == (1, 2)
    assert alone[2] < alone[0]
    np.testing.assert_allclose(together, alone, rtol=1e-4)
