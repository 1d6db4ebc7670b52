"""Contenders that are Keras models: what they make of a picture, and that TensorFlow says nothing about it."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from compare.contenders import open_contender
from quietcam.errors import ModelError
from quietcam.image import to_float, to_uint8
from tests.edge.child.test_trial import ABORTS
from tests.small_models import MODELS
from tests.tiny_network import build_tiny, noisy_pictures


def test_many_keras_models_in_turn_warn_of_nothing(run_folder):
    messages = []

    class Kept(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    kept = Kept(logging.WARNING)
    tf.get_logger().addHandler(kept)
    picture = noisy_pictures(1, 64)[0][0]
    truth = to_uint8(np.asarray(build_tiny()(to_float(picture)[None], training=False))[0])
    try:
        for _ in range(7):
            with open_contender(run_folder, (64, 64)).open() as denoiser:
                shown = denoiser.denoise(picture)
                assert np.abs(shown.astype(int) - truth).max() <= 1
    finally:
        tf.get_logger().removeHandler(kept)
    assert messages == []


def test_a_file_that_would_abort_this_process_is_an_error(tmp_path):
    content = bytearray((MODELS / "small_32x32_int8.tflite").read_bytes())
    place, bit = ABORTS[0]
    content[place] ^= 1 << bit
    (tmp_path / "flipped.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=r"in a child process .*SIG"):
        open_contender(tmp_path / "flipped.tflite")
