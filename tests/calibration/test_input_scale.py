"""A set by `calibrate` gives the input of an int8 model exactly the scale 1/255, whatever the pictures hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from calibration.sampling import sample
from calibration.survey import survey
from quietcam.data.pictures.files import write_picture
from quietcam.data.sets.noisy_pictures import find_noisy

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow", reason="needs the extra 'train'")

SIDE = 32


def input_scale(frames: list[np.ndarray]) -> tuple[float, int]:
    """What TensorFlow's converter makes of the frames for a network that halves its input."""

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32)])
    def halve(noisy: object) -> object:
        return tf.nn.relu(noisy * 0.5)

    def give() -> Iterator[list[np.ndarray]]:
        for frame in frames:
            yield [frame[np.newaxis] / np.float32(255)]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([halve.get_concrete_function()], halve)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = give
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    content = converter.convert()

    from ai_edge_litert.interpreter import Interpreter

    scale, zero = Interpreter(model_content=content).get_input_details()[0]["quantization"]
    return float(scale), int(zero)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_scale_is_exact_even_where_the_camera_reaches_neither_end(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(4):
        write_picture(tmp_path / f"{index}.png", rng.integers(20, 180, (64, 64, 3), np.uint8))
    chosen = sample(survey(find_noisy(tmp_path).pictures, size=SIDE, count=16), count=16)
    assert chosen.patches.max() < 180
    scale, zero = input_scale(list(chosen.frames(SIDE, SIDE)))
    assert np.float32(scale) == np.float32(1 / 255)
    assert zero == -128
    # The same pictures without the two planted pixels do not.
    assert input_scale(list(chosen.patches))[0] < 0.0029
