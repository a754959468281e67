"""ONNX operators that give rows another shape, or pass them on.

Knows that values stay in their order, channels first, whatever shape they are given.
"""

from __future__ import annotations

import math

import numpy as np

from streameval.errors import ModelError
from streameval.layers.layer import Shape
from streameval.models.graphs.stream import Stream, image
from streameval.models.onnx_nodes import BATCH, Node, Value
from streameval.models.onnx_refusals import UnfitError


def reshape(node: Node) -> Value:
    wanted = node.listed("shape", 1)
    if wanted is None:
        raise ModelError("expected the shape as input 1, a constant.")
    return node.rows.reshape(_row_shape(node, wanted))


def _row_shape(node: Node, wanted: tuple[int, ...]) -> Shape | None:
    """The shape of a row in a Reshape to `wanted`, whose first number has to be that of the rows."""
    here = node.rows.shape
    sizes = list(wanted)
    if not node.made.get("allowzero"):
        same = (BATCH, *(here or ()))
        sizes = [same[k] if size == 0 and k < len(same) else size for k, size in enumerate(sizes)]
    rest = sizes[1:]
    rows_stay = (
        len(sizes) >= 2
        and sizes[0] in (-1, BATCH, node.batch or -1)
        and all(size == -1 or size > 0 for size in rest)
    )
    if not rows_stay or sizes.count(-1) > 1 or (sizes[0] == -1 and here is None and not node.rows.is_input):
        shown = ["rows" if size == BATCH else size for size in sizes]
        raise ModelError(f"to {shown}, expected one flat row per sample, for instance [-1, 784].")
    if -1 not in rest:
        return tuple(rest)
    if here is None:
        if len(rest) == 1:
            return None
        raise ModelError("the graph does not say the shape of its rows; export it with one.")
    known = math.prod(size for size in rest if size != -1)
    return tuple(math.prod(here) // known if size == -1 else size for size in rest)


def flatten(node: Node) -> Value:
    shape = node.rows.shape
    if (node.made.get("axis", 1) if shape is None else node.axis(1, len(shape) + 1)) != 1:
        raise ModelError(f"at axis {node.made.get('axis')}, expected 1: one row per sample.")
    return node.rows.flatten()


def squeeze(node: Node) -> Value:
    """Squeeze and Unsqueeze: sides of 1 that go or come."""
    shape = node.rows.shape
    axes = node.listed("axes", 1)
    if shape is None or axes is None:
        raise ModelError("expected rows of known shape, and axes.")
    rank = len(shape) + 1 + (len(axes) if node.kind == "Unsqueeze" else 0)
    places = sorted(axis + rank if axis < 0 else axis for axis in axes)
    if not all(1 <= place < rank for place in places) or len(set(places)) != len(places):
        raise ModelError(f"axes {axes} of rows of shape {shape}: expected none of the rows themselves.")
    sides = list(shape)
    if node.kind == "Unsqueeze":
        for place in places:
            sides.insert(place - 1, 1)
    else:
        if any(shape[place - 1] != 1 for place in places):
            raise ModelError(f"axes {axes} of rows of shape {shape}: expected sides of 1.")
        sides = [side for k, side in enumerate(shape, start=1) if k not in places]
    return node.rows.reshape(tuple(sides) or (1,))


def transpose(node: Node) -> Value:
    """A transpose that moves sides of 1 only: the values stay in their order."""
    shape, perm = node.rows.shape, node.made.get("perm", [])
    if shape is None or sorted(perm) != list(range(len(shape) + 1)) or perm[0] != 0:
        raise ModelError(f"by {list(perm)} of rows of shape {shape}: expected the rows to stay first.")
    order = [k for k in perm[1:] if shape[k - 1] != 1]
    if order != sorted(order):
        raise ModelError(
            f"by {list(perm)} of rows of shape {shape}, which puts values in another order. Export the network with "
            "channels first."
        )
    return node.rows.reshape(tuple(shape[k - 1] for k in perm[1:]))


def pad(node: Node) -> Value:
    pads, rank = node.listed("pads", 1), len(image(node.rows.shape)) + 1
    mode = str(node.made.get("mode", "constant"))
    filled = node.made.get("value", 0.0) != 0.0 or (node.has(2) and node.array(2, "the value").any())
    if mode != "constant" or filled:
        raise ModelError(
            f"in mode {mode[:20]!r} and {'another value than ' if filled else 'value '}0, expected mode constant and "
            "value 0."
        )
    pads = _along(pads, node.listed("axes", 3), rank)
    if pads is None or len(pads) != 2 * rank or any(pads[k] or pads[k + rank] for k in (0, 1)):
        raise ModelError(f"by {pads}, expected eight numbers, zeros for rows and channels.")
    return node.rows.pad((pads[2], pads[3], pads[rank + 2], pads[rank + 3]))


def _along(pads: tuple[int, ...] | None, axes: tuple[int, ...] | None, rank: int) -> tuple[int, ...] | None:
    """Pads of all `rank` dimensions, before them and after them, where they were given for some."""
    if pads is None or axes is None:
        return pads
    places = [axis + rank if axis < 0 else axis for axis in axes]
    if len(pads) != 2 * len(places) or not set(places) <= set(range(rank)) or len(set(places)) < len(places):
        raise ModelError(f"by {pads} along the axes {axes}, expected two numbers for each of some axes.")
    whole = [0] * (2 * rank)
    for k, place in enumerate(places):
        whole[place], whole[place + rank] = pads[k], pads[k + len(places)]
    return tuple(whole)


def shape_of(node: Node) -> Value:
    shape = node.rows.shape
    if shape is None:
        raise ModelError("the graph does not say the shape of its rows; export it with one.")
    whole = np.array([BATCH, *shape], np.int64)
    return whole[int(node.made.get("start", 0)) : node.made.get("end")]


def cast(node: Node) -> Value:
    if node.made.get("to", 0) not in (1, 10, 11):
        raise ModelError("to something other than floating point.")
    if node.made.get("to", 0) == 10 and isinstance(node.inputs[0], Stream):
        node.notes.append(
            "the graph computes in half precision (Cast to float16); here it is computed in float32."
        )
    return node.inputs[0] if isinstance(node.inputs[0], Stream) else node.rows


def dropout(node: Node) -> Value:
    if node.has(2) and node.array(2, "the mode").any():
        raise UnfitError("in training mode, expected a graph exported for inference.")
    return node.rows


def identity(node: Node) -> Value:
    return node.inputs[0] if isinstance(node.inputs[0], Stream) else node.rows
