"""The job of an Edge TPU's child process: it loads the delegate library, and runs the networks of one device.

A message is a letter and the number of a network, 0 to 255. With ``LOAD``, the rest of the message describes the model,
and two blocks of memory come with it: the model's bytes, and its inputs followed by its outputs. The job answers
``LOAD`` and ``RUN``.
"""

from __future__ import annotations

import json
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.child.link import Link
from edge.network.delegates import Device, load_delegate, parse_devices
from edge.network.interpreter import Interpreter
from edge.network.modelfile import ModelFile
from quietcam.errors import QuietcamError

__all__ = ["DROP", "LOAD", "RUN", "describe", "probe", "serve"]

LOAD, RUN, DROP = b"L"[0], b"R"[0], b"D"[0]


def describe(model: ModelFile, threads: int) -> bytes:
    """The description of a model in a message ``LOAD``."""
    return json.dumps({"threads": threads, "about": model.about()}).encode()


def serve(link: Link) -> None:
    """Serve the Edge TPU ``link.argument`` until the parent closes the connection."""
    (device,) = parse_devices(link.argument)
    networks: dict[int, _Network] = {}
    while (message := link.receive()) is not None:
        kind, number = message[0], message[1]
        try:
            if kind == RUN:
                networks[number].run()
                link.send()
            elif kind == LOAD:
                tensors, content = link.shared.pop(), link.shared.pop()
                networks[number] = _Network(device, json.loads(bytes(message[2:])), content, tensors)
                link.send()
            else:
                networks.pop(number).close()
        except QuietcamError as error:
            link.fail(error)
    for each in networks.values():
        each.close()


def probe(link: Link) -> None:
    """Load the delegate of any Edge TPU, and answer."""
    delegate = load_delegate(None)
    link.send()
    del delegate


class _Network:
    """One interpreter, with the memory in which the parent writes its inputs and reads its outputs."""

    def __init__(self, device: Device, wanted: dict[str, Any], content: mmap.mmap, tensors: mmap.mmap) -> None:
        model = ModelFile.rebuilt(wanted["about"], content[:])
        content.close()
        self._interpreter = Interpreter(model, wanted["threads"], load_delegate(device))
        self._inputs: list[NDArray[Any]] = []
        self._outputs: list[NDArray[Any]] = []
        offset = 0
        for found, views in ((self._interpreter.inputs(), self._inputs), (self._interpreter.outputs(), self._outputs)):
            for tensor in found:
                views.append(np.ndarray(tensor.shape, tensor.dtype, buffer=tensors, offset=offset))
                offset += tensor.nbytes

    def run(self) -> None:
        _copy(self._interpreter.inputs(), self._inputs)
        self._interpreter.invoke()
        _copy(self._outputs, self._interpreter.outputs())

    def close(self) -> None:
        self._interpreter.close()


def _copy(targets: list[NDArray[Any]], sources: list[NDArray[Any]]) -> None:
    for target, source in zip(targets, sources, strict=True):
        np.copyto(target, source)
