"""The files for TensorBoard, read back by TensorFlow's own protocol."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from quietcam.errors import StorageError
from train.evaluation.validation import inference
from train.model import build
from train.run_directory.history import HistoryRow
from train.run_directory.tensorboard import Board
from train.schedule import Budget
from train.trainer import Loop


def read_events(folder):
    found = []
    for path in sorted(folder.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = event_pb2.Event.FromString(record.numpy())
            found += [(event.step, value) for value in event.summary.value]
    return found


def test_scalars_and_pictures_of_each_check(crops, tiny, tmp_path):
    model = build(tiny)
    rows = Loop("train", model, Budget(6, 99), 2e-2, run=tmp_path).fit(crops, {"own": crops}, patch=32, batch=4)
    events = read_events(tmp_path / "tensorboard" / "train")
    scalars = {
        (value.tag, step): tf.make_ndarray(value.tensor).item()
        for step, value in events
        if value.metadata.plugin_data.plugin_name == "scalars"
    }
    for row in rows:
        assert scalars["loss", row.step] == pytest.approx(row.loss, rel=1e-6)
        assert scalars["psnr/own", row.step] == pytest.approx(row.validation_psnr, rel=1e-6)
        assert scalars["learning_rate", row.step] == pytest.approx(row.learning_rate, rel=1e-6)
    pictures = [(step, v) for step, v in events if v.metadata.plugin_data.plugin_name == "images"]
    assert [step for step, _ in pictures] == [row.step for row in rows]
    width, height, *encoded = tf.make_ndarray(pictures[-1][1].tensor).tolist()
    assert (int(width), int(height), len(encoded)) == (3 * 64, 64, 3)
    first = tf.io.decode_png(encoded[0]).numpy()
    np.testing.assert_array_equal(first[:, :64], crops.noisy[0])
    np.testing.assert_array_equal(first[:, 128:], crops.clean[0])
    denoised = np.rint(255 * model(crops.noisy[:1].astype(np.float32) / 255).numpy()[0])
    assert np.abs(first[:, 64:128] - denoised).max() <= 1
    assert np.abs(first[:, 64:128].astype(int) - crops.noisy[0]).max() > 1


def test_without_a_run_directory_nothing_is_shown(crops, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Loop("train", build(tiny), Budget(1, 99), 1e-3).fit(crops, {"own": crops}, patch=32, batch=4)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(crops, tiny, tmp_path):
    (tmp_path / "tensorboard").write_text("in the way")
    row = HistoryRow("train", 1, 1.0, 1e-3, 0.1, 30.0)
    with Board(tmp_path, "train", {"own": crops}) as board, pytest.raises(StorageError, match=r"Cannot write .*Remedy"):
        board.show(row, {"own": 30.0}, inference(build(tiny)))
