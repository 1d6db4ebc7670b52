"""Unpacks a model file to objects that can be changed, and packs it again, with LiteRT's generated classes.

Use ``quietcam.tflite.graph`` to read a model: it accepts untrusted bytes. This module is for changing a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from quietcam.extras import load_optional
from quietcam.tflite.model_tables import read_tables

__all__ = ["pack", "replace_data", "schema", "unpack"]

_ALIGNMENT = (
    16  # of constant data, which the schema requires by `force_align`; the generated Python code does not do it
)


def schema() -> Any:
    """LiteRT's generated classes of the model format.

    Raises:
        MissingExtraError: LiteRT is not installed.
    """
    return load_optional("ai_edge_litert.schema_py_generated")


def unpack(content: bytes, name: str = "The model") -> Any:
    """The ``ModelT`` of a model file without its appended manifest; messages call the file ``name``.

    Raises:
        ModelError: the file is not a complete TensorFlow Lite model.
        MissingExtraError: LiteRT is not installed.
    """
    read_tables(content, name)
    return schema().ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any) -> bytes:
    """The bytes of a ``ModelT``, with constants aligned as the schema requires. Deterministic."""
    import flatbuffers

    kinds: Any = schema()

    class Aligned(kinds.BufferT):  # type: ignore[misc]  # the schema's classes are untyped
        def Pack(self, builder: Any) -> Any:  # noqa: N802  the name that the schema calls
            payload = b"" if self.data is None else np.asarray(self.data, np.uint8).tobytes()
            if payload:
                builder.StartVector(1, len(payload), _ALIGNMENT)
                builder.head -= len(payload)
                builder.Bytes[builder.head : builder.head + len(payload)] = payload
                builder.vectorNumElems = len(payload)
                data = builder.EndVector()
            kinds.BufferStart(builder)
            if payload:
                kinds.BufferAddData(builder, data)
            return kinds.BufferEnd(builder)

    for index, buffer in enumerate(model.buffers):
        model.buffers[index] = Aligned(buffer.data)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def replace_data(model: Any, index: int, values: Any) -> None:
    """Replace the values of constant number ``index`` of a ``ModelT`` by others of the same type and size.

    If several tensors share the buffer, the others keep it unchanged.
    """
    tensors = model.subgraphs[0].tensors
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    number = tensors[index].buffer
    if sum(each.buffer == number for each in tensors) > 1:
        model.buffers.append(buffer)
        tensors[index].buffer = len(model.buffers) - 1
    else:
        model.buffers[number] = buffer
