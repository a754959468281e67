"""The attributes of ONNX nodes as plain values, each of the name and type that its operator has.

Knows which operator has which attributes. Does not know what they mean.

The operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from typing import Any, Final

from streameval.errors import ModelError
from streameval.models.onnx_refusals import UnfitError

# AttributeProto.AttributeType, and the field that holds such a value.
FLOAT, INT, STRING, TENSOR, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 6, 7, 8
FIELDS: Final = {
    FLOAT: "f",
    INT: "i",
    STRING: "s",
    TENSOR: "t",
    FLOATS: "floats",
    INTS: "ints",
    STRINGS: "strings",
}
NAMES: Final = {
    FLOAT: "a float",
    INT: "an integer",
    STRING: "text",
    TENSOR: "a tensor",
    FLOATS: "floats",
    INTS: "integers",
    STRINGS: "texts",
}
# A list of more numbers than this is no shape, permutation or padding.
MAX_NUMBERS: Final = 1 << 16

_WINDOW: Final = {"auto_pad": STRING, "kernel_shape": INTS, "pads": INTS, "strides": INTS}
ATTRIBUTES: Final[dict[str, dict[str, int]]] = {
    "ArgMax": {"axis": INT, "keepdims": INT, "select_last_index": INT},
    "AveragePool": {**_WINDOW, "ceil_mode": INT, "count_include_pad": INT, "dilations": INTS},
    "BatchNormalization": {"epsilon": FLOAT, "momentum": FLOAT, "spatial": INT, "training_mode": INT},
    "Cast": {"to": INT, "saturate": INT, "round_mode": STRING},
    "Clip": {"min": FLOAT, "max": FLOAT},
    "Concat": {"axis": INT},
    "Constant": {
        "value": TENSOR,
        "value_float": FLOAT,
        "value_floats": FLOATS,
        "value_int": INT,
        "value_ints": INTS,
    },
    "ConstantOfShape": {"value": TENSOR},
    "Conv": {**_WINDOW, "dilations": INTS, "group": INT},
    "Dropout": {"ratio": FLOAT, "seed": INT},
    "Elu": {"alpha": FLOAT},
    "Flatten": {"axis": INT},
    "Gather": {"axis": INT},
    "Gelu": {"approximate": STRING},
    "Gemm": {"alpha": FLOAT, "beta": FLOAT, "transA": INT, "transB": INT},
    "HardSigmoid": {"alpha": FLOAT, "beta": FLOAT},
    "LayerNormalization": {"axis": INT, "epsilon": FLOAT, "stash_type": INT},
    "LeakyRelu": {"alpha": FLOAT},
    "LinearClassifier": {
        "classlabels_ints": INTS,
        "classlabels_strings": STRINGS,
        "coefficients": FLOATS,
        "intercepts": FLOATS,
        "multi_class": INT,
        "post_transform": STRING,
    },
    "LogSoftmax": {"axis": INT},
    "MaxPool": {**_WINDOW, "ceil_mode": INT, "dilations": INTS, "storage_order": INT},
    "Mod": {"fmod": INT},
    "Normalizer": {"norm": STRING},
    "Pad": {"mode": STRING, "pads": INTS, "value": FLOAT},
    "ReduceMean": {"axes": INTS, "keepdims": INT, "noop_with_empty_axes": INT},
    "Reshape": {"allowzero": INT},
    "Scaler": {"offset": FLOATS, "scale": FLOATS},
    "Selu": {"alpha": FLOAT, "gamma": FLOAT},
    "Shape": {"start": INT, "end": INT},
    "Slice": {"axes": INTS, "ends": INTS, "starts": INTS},
    "Softmax": {"axis": INT},
    "Squeeze": {"axes": INTS},
    "Transpose": {"perm": INTS},
    "Unsqueeze": {"axes": INTS},
    "ZipMap": {"classlabels_int64s": INTS, "classlabels_strings": STRINGS},
}


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes by name: float, int, str, list of numbers, or TensorProto.

    Raises ModelError for one that the operator does not have, that has another type, or that is there twice.
    """
    kind = str(node.op_type)
    known = ATTRIBUTES.get(kind, {})
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        name = str(attribute.name)
        if name not in known:
            raise ModelError(
                f"{kind}: the attribute {name[:60]!r}, which that operator does not have or which is not read. "
                f"Read are: {', '.join(known) or 'none'}."
            )
        if attribute.type != known[name] or attribute.ref_attr_name:
            raise UnfitError(
                f"{kind}: the attribute {name!r} is of ONNX type {attribute.type}, expected {NAMES[known[name]]} "
                f"({known[name]})."
            )
        if name in found:
            raise UnfitError(f"{kind}: the attribute {name!r} is there twice.")
        found[name] = _value(getattr(attribute, FIELDS[known[name]]), known[name], f"{kind}: {name!r}")
    return found


def _value(value: Any, kind: int, where: str) -> Any:
    if kind == STRING:
        return value.decode("latin-1")
    if kind in (FLOATS, INTS, STRINGS):
        if len(value) > MAX_NUMBERS:
            raise ModelError(f"{where} holds {len(value)} numbers, expected at most {MAX_NUMBERS}.")
        return list(value)
    return value
