"""Parse an ONNX file and take numbers out of its tensors.

Knows the protobuf fields that hold numbers. Does not know what the graph computes.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.models.onnx_refusals import UnfitError
from streameval.models.onnx_wire import check_fields

# TensorProto.DataType -> (number type, the field that holds it when `raw_data` does not)
TYPES: Final = {
    1: ("<f4", "float_data"),
    2: ("u1", "int32_data"),
    3: ("i1", "int32_data"),
    4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    12: ("<u4", "uint64_data"),
    13: ("<u8", "uint64_data"),
}
FIELDS: Final = (
    "float_data",
    "int32_data",
    "int64_data",
    "double_data",
    "uint64_data",
    "string_data",
    "raw_data",
)
# What the operators that are read mean has been the same since then; before, Dropout trained unless told otherwise.
OLDEST_OPSET: Final = 7


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
    check_fields(data, library.ModelProto.DESCRIPTOR)
    try:
        return library.ModelProto.FromString(data)
    except damaged:
        raise ModelError("the ONNX file is damaged: it is not a protobuf message.") from None


def check_form(model: Any) -> None:
    """Raise ModelError if the graph hides code in functions, or is too old."""
    if len(model.functions) or len(model.graph.sparse_initializer):
        raise ModelError("the ONNX file defines functions or sparse weights, expected a plain graph.")
    opset(model)


def opset(model: Any) -> int:
    """Return the version of ONNX's own operators that the nodes are of; exporters may name it twice.

    Raises ModelError if there is none, if several are named, or if it is too old.
    """
    named = {
        place: int(one.version)
        for place, one in enumerate(model.opset_import)
        if one.domain in ("", "ai.onnx")
    }
    versions = sorted(set(named.values()))
    if len(versions) > 1:
        shown = ", ".join(f"opset_import[{place}] {version}" for place, version in [*named.items()][:4])
        raise UnfitError(
            f"the ONNX file names the operator sets {versions[:4]}, expected one. Delete those that its nodes are not "
            f"of ({shown}), and save it: model = onnx.load(path); del model.opset_import[{max(named)}]; "
            "onnx.save(model, path)."
        )
    if not versions:
        raise UnfitError("the ONNX file names no version of ONNX's operators, expected one. Export it again.")
    if versions[0] < OLDEST_OPSET:
        raise UnfitError(
            f"the ONNX file names the operator sets {versions}, expected one, {OLDEST_OPSET} or newer. Convert "
            "it: onnx.version_converter.convert_version(onnx.load(path), 17)."
        )
    return versions[0]


def tensor(proto: Any) -> NDArray[Any]:
    """Return the numbers of a TensorProto, after their count and their place were checked.

    Raises ModelError unless they are in one field, the one of their type, as many as the shape says.
    """
    name = str(proto.name)[:60]
    if proto.data_type not in TYPES:
        raise ModelError(f"tensor {name!r}: numbers of ONNX type {proto.data_type}, expected floating point.")
    code, field = TYPES[proto.data_type]
    item, dims = np.dtype(code), tuple(int(n) for n in proto.dims[:9])
    filled = [one for one in FIELDS if len(getattr(proto, one))]
    if proto.HasField("segment") or filled not in ([], ["raw_data"], [field]):
        raise UnfitError(
            f"tensor {name!r}: its numbers are in {', '.join(filled) or 'a segment'}, expected them in raw_data or "
            f"{field} alone."
        )
    count = math.prod(dims)
    raw = proto.raw_data
    held = len(raw) / item.itemsize if raw else len(getattr(proto, field))
    if min(dims, default=0) < 0 or len(dims) > 8 or count != held:
        raise UnfitError(
            f"tensor {name!r}: shape {dims} of {item}, but it holds {len(raw)} bytes, {held:g} numbers."
            if raw
            else f"tensor {name!r}: shape {dims}, but it holds {held} numbers."
        )
    values = np.frombuffer(raw, item) if raw else _typed(proto, item, field)
    if item.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
        raise UnfitError(f"tensor {name!r}: truth values other than 0 and 1.")
    return values.reshape(dims)


def number(value: float | list[float]) -> NDArray[Any]:
    """Return the number or numbers of a Constant's attribute: float32 or int64, as ONNX has them."""
    array = np.array(value)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _typed(proto: Any, item: np.dtype[Any], field: str) -> NDArray[Any]:
    """Return the numbers of a typed field; those of 16 bits and less share one of 32."""
    numbers = getattr(proto, field)
    stored = np.dtype(np.uint16) if item == np.float16 else np.dtype(np.uint8) if item.kind == "b" else item
    if stored.kind == "f":
        return np.fromiter(numbers, item, count=len(numbers))
    wide = np.fromiter(numbers, np.uint64 if field == "uint64_data" else np.int64, count=len(numbers))
    narrow = wide.astype(stored)
    if not np.array_equal(narrow, wide):
        raise UnfitError(f"tensor {str(proto.name)[:60]!r}: numbers in {field} that {stored} cannot hold.")
    return narrow.view(item)
