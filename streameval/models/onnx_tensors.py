"""Parse an ONNX file and take numbers out of its tensors, none of which may lie outside the file.

Knows the protobuf fields that hold numbers. Does not know what the graph computes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError

# TensorProto.DataType -> (number type, the field that holds it when `raw_data` does not)
TYPES = {
    1: ("<f4", "float_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
}


def parse(data: bytes) -> Any:
    """Return the ModelProto in `data`; no other file is opened.

    Raises:
        ModelError: it is not one, or the extra `[onnx]` is not installed.
    """
    try:
        library: Any = import_module("onnx")
    except ImportError:
        raise ModelError('reading ONNX needs an extra: pip install "streameval[onnx]"') from None
    damaged: type[Exception] = import_module("google.protobuf.message").DecodeError
    try:
        return library.ModelProto.FromString(data)
    except damaged:
        raise ModelError("the ONNX file is damaged: it is not a protobuf message.") from None


def check_inside(model: Any) -> None:
    """Raise ModelError if any tensor lies in another file, or the graph hides code in functions."""
    if len(model.functions) or len(model.graph.sparse_initializer):
        raise ModelError("the ONNX file defines functions or sparse weights, expected a plain graph.")
    for proto in _tensors(model.graph):
        if proto.data_location == 1 or len(proto.external_data):
            raise ModelError(
                f"the weights {str(proto.name)[:60]!r} lie outside the ONNX file: refused, no other file was "
                "opened. Save it as one file: onnx.save(onnx.load(path), new_path)."
            )


def tensor(proto: Any) -> NDArray[Any]:
    """Return the numbers of a TensorProto, or of a Constant's attribute, after their count was checked."""
    if hasattr(proto, "ints"):  # an AttributeProto
        if proto.name != "value":
            plain = {"value_float": proto.f, "value_floats": list(proto.floats), "value_int": proto.i}
            return np.array(plain.get(proto.name, list(proto.ints)))
        proto = proto.t
    name = str(proto.name)[:60]
    if proto.data_type not in TYPES:
        raise ModelError(f"tensor {name!r}: numbers of ONNX type {proto.data_type}, expected floating point.")
    code, field = TYPES[proto.data_type]
    item, dims = np.dtype(code), tuple(int(n) for n in proto.dims)
    raw = proto.raw_data
    values = np.frombuffer(raw, item) if raw and len(raw) % item.itemsize == 0 else _typed(proto, item, field)
    if min(dims, default=0) < 0 or len(dims) > 8 or math.prod(dims) != values.size:
        raise ModelError(f"tensor {name!r}: shape {dims[:9]}, but it holds {values.size} numbers.")
    return values.reshape(dims)


def _typed(proto: Any, item: np.dtype[Any], field: str) -> NDArray[Any]:
    numbers = getattr(proto, field)
    if field != "int32_data":
        return np.fromiter(numbers, item, count=len(numbers))
    narrow = np.fromiter(numbers, np.int64, count=len(numbers))
    return narrow.astype(np.uint16).view(item) if item.kind == "f" else narrow.astype(item)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
