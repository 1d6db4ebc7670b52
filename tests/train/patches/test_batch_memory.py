"""The memory of a batch is used again only after the batch and all views of it are released."""

from __future__ import annotations

import ast
import gc
import threading
from pathlib import Path

import numpy as np
import pytest

import train
from train.patches.batch_memory import BatchMemory

_SHAPE = (2, 3, 8, 8, 3)


def place(batch: np.ndarray) -> int:
    return int(batch.__array_interface__["data"][0])


def test_what_was_let_go_is_used_again_and_aligned() -> None:
    memory = BatchMemory()
    first = memory.empty(_SHAPE, np.uint8)
    where = place(first)
    assert where % 64 == 0
    assert first.flags.writeable
    del first
    assert place(memory.empty(_SHAPE, np.uint8)) == where


@pytest.mark.parametrize(
    "view",
    [
        lambda batch: batch,
        lambda batch: batch[:, 1],
        lambda batch: batch.view(np.dtype((np.void, 3)))[..., 0],
        lambda batch: batch.reshape(-1)[::2].T,
        lambda batch: memoryview(batch),
        lambda batch: iter(batch),
    ],
)
def test_what_is_held_is_not(view) -> None:
    memory = BatchMemory()
    held = view(memory.empty(_SHAPE, np.uint8))
    others = [memory.empty(_SHAPE, np.uint8) for _ in range(3)]
    places = [place(each) for each in others]
    assert len(set(places)) == 3
    taken = place(np.frombuffer(held, np.uint8)) if isinstance(held, memoryview) else None
    assert taken not in places
    for each in others:
        each[...] = 7
    del each, others, held
    gc.collect()
    assert len(memory._free) == 4


def test_a_batch_keeps_its_pixels_while_others_come_and_go_on_several_threads() -> None:
    memory, wrong = BatchMemory(), []

    def work(mark: int) -> None:
        for _ in range(300):
            batch = memory.empty(_SHAPE, np.uint8)
            batch[...] = mark
            other = memory.empty((1, 2, 3), np.float32)
            other[...] = -1
            if not (batch == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert len(memory._free) <= memory._MOST


def test_tensorflow_holds_a_batch_that_it_took_over() -> None:
    import tensorflow as tf

    memory = BatchMemory()
    batch = memory.empty(_SHAPE, np.uint8)
    batch[...] = 5
    tensor = tf.convert_to_tensor(batch)
    del batch
    for _ in range(3):
        memory.empty(_SHAPE, np.uint8)[...] = 9
    assert int(tf.reduce_max(tensor)) == int(tf.reduce_min(tensor)) == 5


def test_nobody_counts_references() -> None:
    """Reference counts are an internal matter of CPython: 3.14 counts differently."""
    root = Path(train.__file__).parents[1]
    for stage in ("quietcam", "calibration", "train", "convert", "compare", "deploy", "edge"):
        for path in (root / stage).rglob("*.py"):
            names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
            assert not names & {"getrefcount"}, path
