"""The attributes of ONNX nodes as plain values, each of the name and type that its operator has.

Knows which operator has which attributes. Does not know what they mean.

The operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from typing import Any, Final

from streameval.errors import ModelError

# AttributeProto.AttributeType, and the field that holds such a value.
FLOAT, INT, STRING, TENSOR, FLOATS, INTS = 1, 2, 3, 4, 6, 7
FIELDS: Final = {FLOAT: "f", INT: "i", STRING: "s", TENSOR: "t", FLOATS: "floats", INTS: "ints"}
NAMES: Final = {
    FLOAT: "a float",
    INT: "an integer",
    STRING: "text",
    TENSOR: "a tensor",
    FLOATS: "floats",
    INTS: "integers",
}
# A list of more numbers than this is no shape, permutation or padding.
MAX_NUMBERS: Final = 1 << 16

ATTRIBUTES: Final[dict[str, dict[str, int]]] = {
    "Cast": {"to": INT, "saturate": INT, "round_mode": STRING},
    "Constant": {
        "value": TENSOR,
        "value_float": FLOAT,
        "value_floats": FLOATS,
        "value_int": INT,
        "value_ints": INTS,
    },
    "Dropout": {"ratio": FLOAT, "seed": INT},
    "Flatten": {"axis": INT},
    "Gelu": {"approximate": STRING},
    "Gemm": {"alpha": FLOAT, "beta": FLOAT, "transA": INT, "transB": INT},
    "LeakyRelu": {"alpha": FLOAT},
    "LogSoftmax": {"axis": INT},
    "Reshape": {"allowzero": INT},
    "Softmax": {"axis": INT},
    "Transpose": {"perm": INTS},
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
            raise ModelError(
                f"{kind}: the attribute {name!r} is of ONNX type {attribute.type}, expected {NAMES[known[name]]} "
                f"({known[name]})."
            )
        if name in found:
            raise ModelError(f"{kind}: the attribute {name!r} is there twice.")
        found[name] = _value(getattr(attribute, FIELDS[known[name]]), known[name], f"{kind}: {name!r}")
    return found


def _value(value: Any, kind: int, where: str) -> Any:
    if kind == STRING:
        return value.decode("latin-1")
    if kind in (FLOATS, INTS):
        if len(value) > MAX_NUMBERS:
            raise ModelError(f"{where} holds {len(value)} numbers, expected at most {MAX_NUMBERS}.")
        return list(value)
    return value
