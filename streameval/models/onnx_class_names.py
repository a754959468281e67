"""What an ONNX graph calls its classes, where it gives them beside their probabilities: scikit-learn's exports do.

Knows the three places where names stand. Does not know what else the graph computes.
"""

from __future__ import annotations

from typing import Any, Final

from streameval.models.onnx_attributes import MAX_NUMBERS
from streameval.models.onnx_tensors import tensor

_STRING: Final = 8  # TensorProto.STRING
_NUMBERS: Final = (6, 7)  # TensorProto.INT32, INT64
_INTEGERS, _TEXTS = ("classlabels_ints", "classlabels_int64s"), "classlabels_strings"


def class_names(graph: Any, classes: int) -> tuple[str, ...]:
    """What the graph calls its `classes` classes, in their order; nothing where it has no names, or their numbers.

    They are attributes of LinearClassifier and ZipMap, or the constant of which ArrayFeatureExtractor takes the one
    at ArgMax. Text that is a number says that number: names "0", "1", "2" are none.
    """
    largest = {str(node.output[0]) for node in graph.node if node.op_type == "ArgMax" and len(node.output)}
    for node in graph.node:
        if node.domain != "ai.onnx.ml":
            continue
        found = [one for attribute in node.attribute for one in _listed(attribute)]
        if node.op_type == "ArrayFeatureExtractor" and len(node.input) == 2 and node.input[1] in largest:
            found = [name for one in graph.initializer if one.name == node.input[0] for name in _held(one)]
        if len(found) == classes and found != [str(k) for k in range(classes)]:
            return tuple(found)
    return ()


def name_numbers(names: tuple[str, ...]) -> tuple[int, ...]:
    """The names as labels in data would be, where all of them are whole numbers; else nothing."""
    if not all(name.removeprefix("-").isdecimal() and name.isascii() and len(name) < 19 for name in names):
        return ()
    return tuple(map(int, names))


def names_said(names: tuple[str, ...]) -> str:
    """The note that there are names."""
    shown = ", ".join(name[:40] for name in names[:6]) + (", …" if len(names) > 6 else "")
    return f"the file calls its classes {shown}: here they count from 0 in that order."


def _listed(attribute: Any) -> list[str]:
    if attribute.name in _INTEGERS:
        return [str(int(value)) for value in attribute.ints[:MAX_NUMBERS]]
    if attribute.name == _TEXTS:
        return [value.decode(errors="replace") for value in attribute.strings[:MAX_NUMBERS]]
    return []


def _held(proto: Any) -> list[str]:
    """The names in a tensor; none in one whose numbers lie elsewhere or are no whole ones."""
    if proto.data_type == _STRING:
        return [value.decode(errors="replace") for value in proto.string_data[:MAX_NUMBERS]]
    if proto.data_type not in _NUMBERS or proto.data_location or len(proto.dims) != 1:
        return []
    return [str(value) for value in tensor(proto).tolist()[:MAX_NUMBERS]]
