"""ONNX operators that are layers with numbers, and pooling.

Knows operator sets 7 and newer. Does not know the graph around a node.
"""

from __future__ import annotations

import numpy as np

from streameval.errors import ModelError
from streameval.layers import AvgPool2d, GlobalAvgPool2d, LayerNorm, MaxPool2d
from streameval.models.graphs.steps import Numbers, Sides
from streameval.models.graphs.stream import image, short
from streameval.models.graphs.windows import dilated, same_padding
from streameval.models.onnx_nodes import Node, Value, row
from streameval.models.onnx_refusals import UnfitError


def conv(node: Node) -> Value:
    weight = node.numbers(1, "the weight")
    if weight.ndim != 4:
        raise ModelError(f"a weight of shape {weight.shape}, expected (outputs, inputs, height, width).")
    weight = dilated(weight, node.made.get("dilations", [1, 1]))
    stride, padding = _window(node, weight.shape[2:])
    bias = node.numbers(2, "the bias").reshape(-1) if node.has(2) else np.zeros(())
    _fits(bias, weight.shape[0])
    return node.rows.convolve(weight, bias, stride, padding, int(node.made.get("group", 1)))


def _window(node: Node, kernel: tuple[int, ...]) -> tuple[tuple[int, int], Sides]:
    """Stride and padding of a window that is moved over an image."""
    strides, pads = node.made.get("strides", [1, 1]), node.made.get("pads", [0, 0, 0, 0])
    shape = node.made.get("kernel_shape", list(kernel))
    if len(kernel) != 2 or len(strides) != 2 or len(pads) != 4 or len(shape) != 2:
        raise ModelError(f"windows of {len(shape)} dimensions, expected two: height and width.")
    if min(strides) < 1 or min(pads) < 0 or min(shape) < 1:
        raise ModelError(
            f"kernel {list(shape)}, strides {list(strides)}, pads {list(pads)}: expected none below 1 or 0."
        )
    stride, padding = (strides[0], strides[1]), (pads[0], pads[1], pads[2], pads[3])
    kind = node.made.get("auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        sides = image(node.rows.shape)[1:]
        (top, bottom), (left, right) = (
            same_padding(sides[k], kernel[k], stride[k], lower=kind == "SAME_LOWER") for k in (0, 1)
        )
        padding = (top, left, bottom, right)
    elif kind == "VALID":
        padding = (0, 0, 0, 0)
    elif kind != "NOTSET":
        raise ModelError(f"auto_pad {kind[:20]!r}, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER.")
    return stride, padding


def gemm(node: Node) -> Value:
    rows, weight = node.rows, node.numbers(1, "the weight")
    if node.made.get("transA") or weight.ndim != 2:
        raise ModelError("expected rows first, not transposed, and a weight of two dimensions.")
    weight = weight.T if node.made.get("transB") else weight
    alpha, beta = (float(node.made.get(name, 1.0)) for name in ("alpha", "beta"))
    bias = row(node.numbers(2, "the bias"), weight.shape[1:]) if node.has(2) else None
    # Without a bias beta says nothing, and no bias counts with a beta of 0, whatever is in it.
    bias = np.zeros(()) if bias is None or beta == 0 else beta * bias
    return rows.dense(alpha * weight, bias)


def matmul(node: Node) -> Value:
    return node.rows.dense(node.numbers(1, "the weight"), np.zeros(()))


def batch_norm(node: Node) -> Value:
    if node.made.get("training_mode") or not node.made.get("spatial", 1):
        raise UnfitError("in training mode, expected a graph exported for inference.")
    names = ("scale", "B", "mean", "var")
    gamma, beta, mean, variance = (node.numbers(k, name).reshape(-1) for k, name in enumerate(names, start=1))
    shape = node.rows.shape
    if len({gamma.size, beta.size, mean.size, variance.size, *([] if shape is None else [shape[0]])}) != 1:
        raise ModelError(f"{gamma.size} numbers for rows of shape {shape}, expected one for each channel.")
    eps = short(node.made.get("epsilon", 1e-5))
    if not (variance + eps > 0.0).all():
        raise ModelError(
            f"a variance of {variance.min():.6g} with epsilon {eps:.6g}, expected more than 0 together."
        )
    scale = gamma / np.sqrt(variance + eps)
    return node.rows.scaled(scale, beta - mean * scale)


def layer_norm(node: Node) -> Value:
    shape = node.rows.shape
    if shape is None:
        raise ModelError("the graph does not say the shape of its rows; export it with one.")
    axis = node.axis(-1, len(shape) + 1)
    gamma = node.numbers(1, "the scale")
    if not 1 <= axis <= len(shape) or gamma.shape != shape[axis - 1 :]:
        raise ModelError(
            f"over axes from {axis} with a scale of shape {gamma.shape}, on rows of shape {shape}."
        )
    beta = node.numbers(2, "the bias") if node.has(2) else np.zeros(gamma.shape)
    if beta.shape != gamma.shape:
        raise ModelError(f"a scale of shape {gamma.shape} and a bias of shape {beta.shape}.")
    eps = short(node.made.get("epsilon", 1e-5))
    return node.rows.layer(LayerNorm(gamma.reshape(-1), beta.reshape(-1), eps=eps))


def pool(node: Node) -> Value:
    kernel = tuple(node.made.get("kernel_shape", ()))
    stride, padding = _window(node, kernel)
    if list(node.made.get("dilations", [1, 1])) != [1, 1] or node.made.get("storage_order"):
        raise ModelError("dilations other than 1 or another storage order, which no pooling here has.")
    sizes, ceil = (kernel[0], kernel[1]), bool(node.made.get("ceil_mode", 0))
    if node.kind == "MaxPool":
        return node.rows.layer(MaxPool2d(sizes, stride, padding, ceil_mode=ceil))
    counted = bool(node.made.get("count_include_pad", 0))
    return node.rows.averaged(
        AvgPool2d(sizes, stride, padding, ceil_mode=ceil, count_include_pad=counted or not any(padding))
    )


def global_pool(node: Node) -> Value:
    return node.rows.layer(GlobalAvgPool2d())


def reduce_mean(node: Node) -> Value:
    shape = node.rows.shape
    rank = 0 if shape is None else len(shape) + 1
    axes = node.listed("axes", 1) or ()
    if rank == 2 and axes in ((1,), (-1,)) and node.made.get("keepdims", 1):
        return node.rows.call("mean")
    if rank != 4 or sorted(axis % rank for axis in axes if -rank <= axis < rank) != [2, 3] or len(axes) != 2:
        raise ModelError(
            f"over the axes {axes} of rows of shape {shape}, expected height and width: 2 and 3."
        )
    pooled = node.rows.layer(GlobalAvgPool2d())
    return pooled if node.made.get("keepdims", 1) else pooled.flatten()


def _fits(bias: Numbers, outputs: int) -> None:
    if bias.size not in (1, outputs):
        raise ModelError(f"a bias of {bias.size} numbers for {outputs} outputs.")
