"""Networks that are validated in turn: the graph gives what the network gives, and TensorFlow warns of nothing."""

import logging

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from train.evaluation.validation import inference
from train.model import build


@pytest.fixture
def warned():
    """Messages of TensorFlow's own logger, which appear on the terminal."""
    messages = []

    class Kept(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    kept = Kept(logging.WARNING)
    tf.get_logger().addHandler(kept)
    yield messages
    tf.get_logger().removeHandler(kept)


def test_many_networks_and_sizes_give_what_the_network_gives_and_no_warning(tiny, warned):
    rng = np.random.default_rng(0)
    for seed in range(8):
        keras.utils.set_random_seed(seed)
        model = build(tiny)
        denoise = inference(model)
        for height, width in ((32, 32), (48, 64)):
            noisy = tf.constant(rng.random((2, height, width, 3), np.float32))
            assert np.allclose(denoise(noisy), model(noisy, training=False), atol=1e-5)
    assert warned == []


def test_a_graph_reads_the_weights_as_they_are(tiny):
    """So the scan of pruning can use one graph for all weights that it tries."""
    model = build(tiny)
    denoise = inference(model)
    noisy = tf.constant(np.random.default_rng(0).random((1, 32, 32, 3), np.float32))
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(weight + 0.05)
    assert np.allclose(denoise(noisy), model(noisy, training=False), atol=1e-5)
