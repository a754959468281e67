"""Operators of an ONNX graph on constants alone, evaluated exactly as ONNX says, or refused.

Knows what exporters leave between a weight or a shape and where it is used. Does not know what constants are for.
Nothing is allocated that was not paid for: `Node.spend`.

Cast: https://onnx.ai/onnx/operators/onnx__Cast.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.models.onnx_nodes import BATCH, Node
from streameval.models.onnx_refusals import UnfitError
from streameval.models.onnx_tensors import TYPES, tensor

Array = NDArray[Any]
_NO_END: Final = (2**31 - 1, 2**63 - 1)


def _identity(node: Node) -> Array:
    return node.array(0, "a constant")


def _cast(node: Node) -> Array:
    """The numbers in another type: rounded to the nearest, to integers towards zero, to true unless zero."""
    array, target = node.array(0, "a constant"), node.made.get("to", 0)
    if target not in TYPES:
        raise ModelError(f"of a constant to ONNX type {target}, expected one of {sorted(TYPES)}.")
    to = np.dtype(TYPES[target][0])
    if to.kind in "iu":
        whole = np.trunc(array) if array.dtype.kind == "f" else array
        limits = np.iinfo(to)
        # As Python's integers: a float64 cannot tell 2**63 - 1 from 2**63.
        inside = np.isfinite(array).all() and all(
            limits.min <= int(end) <= limits.max for end in (whole.min(initial=0), whole.max(initial=0))
        )
        if not inside:
            raise UnfitError(f"of constants to {to} that it cannot hold, which ONNX leaves undefined.")
    return array.astype(to)


def _transpose(node: Node) -> Array:
    array = node.array(0, "a constant")
    perm = node.made.get("perm", list(range(array.ndim))[::-1])
    if sorted(perm) != list(range(array.ndim)):
        raise ModelError(f"of {array.ndim} dimensions by {list(perm)}.")
    return array.transpose(perm)


def _reshape(node: Node) -> Array:
    array, wanted = node.array(0, "a constant"), node.listed("shape", 1)
    if wanted is None or len(wanted) > 8:
        raise ModelError("expected a shape of at most eight sizes.")
    sizes = list(wanted)
    if not node.made.get("allowzero"):
        sizes = [array.shape[k] if size == 0 and k < array.ndim else size for k, size in enumerate(sizes)]
    known = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) == 1 and known > 0:
        sizes[sizes.index(-1)] = array.size // known
    if min(sizes, default=0) < 0 or math.prod(sizes) != array.size:
        raise ModelError(f"of a constant of shape {array.shape} to {list(wanted)}.")
    return array.reshape(sizes)


def _unsqueeze(node: Node) -> Array:
    array = node.array(0, "a constant")
    axes = _axes(node, array.ndim + len(node.listed("axes", 1) or ()))
    return np.expand_dims(array, axes)


def _squeeze(node: Node) -> Array:
    array = node.array(0, "a constant")
    axes = _axes(node, array.ndim) or tuple(k for k, side in enumerate(array.shape) if side == 1)
    if any(array.shape[axis] != 1 for axis in axes):
        raise ModelError(f"of axes {axes} of a constant of shape {array.shape}, expected sides of 1.")
    return np.squeeze(array, axes)


def _axes(node: Node, rank: int) -> tuple[int, ...]:
    axes = tuple(axis + rank if axis < 0 else axis for axis in node.listed("axes", 1) or ())
    if len(set(axes)) != len(axes) or not all(0 <= axis < rank <= 8 for axis in axes):
        raise ModelError(f"axes {axes} of {rank} dimensions.")
    return axes


def _concat(node: Node) -> Array:
    parts = [node.array(k, "a constant") for k in range(len(node.inputs))]
    axis = node.axis(0, parts[0].ndim if parts else 0)
    others = {(*part.shape[:axis], *part.shape[axis + 1 :], str(part.dtype), part.ndim) for part in parts}
    if len(others) != 1 or not 0 <= axis < parts[0].ndim:
        raise ModelError("of constants that do not fit together.")
    return np.concatenate(parts, axis)


def _gather(node: Node) -> Array:
    array, where = node.array(0, "a constant"), node.array(1, "the places")
    axis = node.axis(0, array.ndim)
    if where.dtype.kind not in "iu" or where.ndim > 1 or not 0 <= axis < array.ndim:
        raise ModelError(f"of places of type {where.dtype}, {where.ndim} dimensions, at axis {axis}.")
    side = array.shape[axis]
    if where.size and not (-side <= int(where.min()) and int(where.max()) < side):
        raise ModelError(f"of a place that the {side} along axis {axis} do not have.")
    node.spend(where.size * (array.size // max(side, 1)))
    return np.asarray(np.take(array, where, axis))


def _slice(node: Node) -> Array:
    array = node.array(0, "a constant")
    starts, ends = node.listed("starts", 1), node.listed("ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise ModelError("without as many starts as ends.")
    axes = node.listed("axes", 3) or tuple(range(len(starts)))
    strides = node.listed("steps", 4) or (1,) * len(starts)
    if len(axes) != len(starts) or len(strides) != len(starts) or 0 in strides:
        raise ModelError("with a step of 0, or other numbers of axes or steps than of starts.")
    if BATCH in (*starts, *ends, *strides):
        raise ModelError("of as many numbers as there are rows, expected the same for any number of rows.")
    cut = [slice(None)] * array.ndim
    for axis, start, end, stride in zip(axes, starts, ends, strides, strict=True):
        if not -array.ndim <= axis < array.ndim:
            raise ModelError(f"at axis {axis} of {array.ndim} dimensions.")
        if stride < 0 and end in _NO_END:
            raise ModelError(
                f"backwards to {end}, which ONNX and ONNX Runtime read differently. Expected -{end}."
            )
        # ONNX has a start before the first number mean the first one, backwards too, where Python has nothing then.
        cut[axis] = slice(max(start, -array.shape[axis]), end, stride)
    return array[tuple(cut)]


def _arithmetic(node: Node) -> Array:
    one, two = node.array(0, "a constant"), node.array(1, "a constant")
    if one.dtype != two.dtype or one.dtype.kind not in "fiu":
        raise ModelError(f"of types {one.dtype} and {two.dtype}, expected the same.")
    try:
        node.spend(math.prod(np.broadcast_shapes(one.shape, two.shape)))
    except ValueError:
        raise ModelError(f"of shapes {one.shape} and {two.shape}.") from None
    if node.kind == "Mod" and one.dtype.kind == "f":
        raise ModelError("of floating point, expected integers.")
    if node.kind in ("Div", "Mod") and one.dtype.kind != "f":
        if not two.all() or (one < 0).any() or (two < 0).any():
            raise ModelError("of integers below 0, or by 0.")
        return np.asarray(one // two if node.kind == "Div" else one % two)
    result = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[node.kind](one, two)
    return np.asarray(result)


def _root(node: Node) -> Array:
    array = node.array(0, "a constant")
    if array.dtype.kind != "f":
        raise ModelError(f"of type {array.dtype}, expected floating point.")
    return np.sqrt(array) if node.kind == "Sqrt" else 1 / array


def _shape(node: Node) -> Array:
    return np.array(node.array(0, "a constant").shape, np.int64)


def _filled(node: Node) -> Array:
    sizes = node.listed("shape", 0)
    value = tensor(node.made["value"]).reshape(-1)[:1] if "value" in node.made else np.zeros(1, np.float32)
    if sizes is None or len(sizes) > 8 or min(sizes, default=0) < 0 or value.size != 1:
        raise ModelError(f"of sizes {sizes}, expected at most eight, none below 0.")
    node.spend(math.prod(sizes))
    return np.full(sizes, value[0])


FOLDED: Final[dict[str, Callable[[Node], Array]]] = {
    "Add": _arithmetic,
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _arithmetic,
    "Gather": _gather,
    "Identity": _identity,
    "Mod": _arithmetic,
    "Mul": _arithmetic,
    "Reciprocal": _root,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Sqrt": _root,
    "Squeeze": _squeeze,
    "Sub": _arithmetic,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
