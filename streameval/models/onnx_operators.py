"""What each ONNX operator does to rows on their way through a network: one function each, one literal table.

Knows operator sets 7 and newer. Does not know the graph around a node. Errors say what was found and expected; who
walks the graph adds the node.

The operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from streameval.errors import ModelError
from streameval.layers import AvgPool2d, GlobalAvgPool2d, LayerNorm, MaxPool2d
from streameval.layers.layer import Shape
from streameval.models.graphs.steps import Numbers, Sides
from streameval.models.graphs.stream import Stream, image, same_padding, short
from streameval.models.onnx_nodes import BATCH, Node, Value

Operator = Callable[[Node], Value]


# --- layers with weights ---


def _conv(node: Node) -> Value:
    weight = node.numbers(1, "the weight")
    if weight.ndim != 4:
        raise ModelError(f"a weight of shape {weight.shape}, expected (outputs, inputs, height, width).")
    weight = _dilated(weight, node.made.get("dilations", [1, 1]))
    stride, padding = _window(node, weight.shape[2:])
    bias = node.numbers(2, "the bias").reshape(-1) if node.has(2) else np.zeros(())
    _fits(bias, weight.shape[0])
    return node.rows.convolve(weight, bias, stride, padding, int(node.made.get("group", 1)))


def _dilated(weight: Numbers, by: list[int]) -> Numbers:
    """The same kernel with zeros between its numbers."""
    if list(by) == [1, 1]:
        return weight
    height, width = weight.shape[2:]
    if len(by) != 2 or not all(1 <= step <= 64 for step in by):
        raise ModelError(f"dilations {by}, expected two numbers from 1 to 64.")
    sides = (height - 1) * by[0] + 1, (width - 1) * by[1] + 1
    if math.prod(sides) > 16 * max(height * width, 16):
        raise ModelError(
            f"a kernel {height} x {width} dilated by {by}, which is too wide to compute with zeros."
        )
    wide = np.zeros((*weight.shape[:2], *sides))
    wide[:, :, :: by[0], :: by[1]] = weight
    return wide


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


def _gemm(node: Node) -> Value:
    rows, weight = node.rows, node.numbers(1, "the weight")
    if node.made.get("transA") or weight.ndim != 2:
        raise ModelError("expected rows first, not transposed, and a weight of two dimensions.")
    weight = weight.T if node.made.get("transB") else weight
    bias = node.numbers(2, "the bias") if node.has(2) else np.zeros(())
    return rows.dense(
        node.made.get("alpha", 1.0) * weight, node.made.get("beta", 1.0) * _row(bias, weight.shape[1:])
    )


def _matmul(node: Node) -> Value:
    return node.rows.dense(node.numbers(1, "the weight"), np.zeros(()))


def _batch_norm(node: Node) -> Value:
    if node.made.get("training_mode") or not node.made.get("spatial", 1):
        raise ModelError("in training mode, expected a graph exported for inference.")
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


def _layer_norm(node: Node) -> Value:
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


# --- pooling ---


def _pool(node: Node) -> Value:
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


def _global_pool(node: Node) -> Value:
    return node.rows.layer(GlobalAvgPool2d())


def _reduce_mean(node: Node) -> Value:
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


# --- elementwise ---


def _arithmetic(node: Node) -> Value:
    """Add, Sub, Mul, Div: of rows and a constant, or of two ways that rows went."""
    if len(node.inputs) != 2:
        raise ModelError(f"{len(node.inputs)} inputs, expected two.")
    one, two = node.inputs
    for value in (one, two):
        if isinstance(value, Stream) and value.softmax:
            raise ModelError("it goes on after Softmax, expected that to be the end.")
    if isinstance(one, Stream) and isinstance(two, Stream):
        if node.kind == "Div":
            return one.over(two)
        if node.kind == "Mul":
            return one.times(two)
        return one.plus(two, -1.0 if node.kind == "Sub" else 1.0)
    first = isinstance(one, Stream)
    rows = one if isinstance(one, Stream) else two
    assert isinstance(rows, Stream)
    value = _each(node.numbers(1 if first else 0, "a number, or one per value"), rows.shape)
    if node.kind == "Div" and not first:
        raise ModelError("a constant divided by the values, expected the values divided by a constant.")
    ones, zeros = np.ones(()), np.zeros(())
    scale, shift = {
        "Mul": lambda: (value, zeros),
        "Div": lambda: (1 / value, zeros),
        "Add": lambda: (ones, value),
        "Sub": lambda: (ones, -value) if first else (-ones, value),
    }[node.kind]()
    if rows.is_input:
        node.notes.append(
            f"the graph itself applies {node.kind} by {value.reshape(-1)[0]:.6g} to its input: it may expect raw "
            "pixels. uint8 features are scaled by 1/255 before they reach it, unless --scale 1 is given."
        )
    return rows.scaled(scale, shift)


def _sum(node: Node) -> Value:
    total = node.inputs[0]
    for value in node.inputs[1:]:
        total = _arithmetic(replace(node, kind="Add", inputs=[total, value]))
    if total is None:
        raise ModelError("a sum of nothing.")
    return total


def _each(value: Numbers, shape: Shape | None) -> Numbers:
    """A constant that meets rows of `shape`: (), or one number for each channel or each value of a flat row."""
    if value.size == 1:
        return value.reshape(())
    rank = 1 if shape is None else len(shape)
    own = value.shape[value.ndim - rank :] if value.ndim >= rank else (1,) * (rank - value.ndim) + value.shape
    fine = max(value.shape[: max(0, value.ndim - rank)], default=1) == 1 and value.size == own[0]
    if not fine or (shape is not None and own[0] != shape[0]):
        raise ModelError(
            f"a constant of shape {value.shape} where rows of shape {shape} meet it: expected a number, or one for "
            "each channel, or for each value of a flat row."
        )
    return value.reshape(-1)


def _row(value: Numbers, shape: tuple[int, ...]) -> Numbers:
    """A bias as () or (outputs,)."""
    if value.size not in (1, shape[0]) or value.size != max(value.shape, default=1):
        raise ModelError(f"a constant of shape {value.shape} where {shape[0]} values per row meet it.")
    return value.reshape(()) if value.size == 1 else value.reshape(-1)


def _fits(bias: Numbers, outputs: int) -> None:
    if bias.size not in (1, outputs):
        raise ModelError(f"a bias of {bias.size} numbers for {outputs} outputs.")


def _function(name: str) -> Operator:
    return lambda node: node.rows.call(name)


def _sloped(name: str, default: float) -> Operator:
    """An activation with a number, `alpha`."""
    return lambda node: node.rows.call(_with_number(name, float(node.made.get("alpha", default))))


def _with_number(name: str, value: float) -> str:
    return f"{name}({short(value)!r})"


def _prelu(node: Node) -> Value:
    return node.rows.call(_with_number("leaky_relu", node.number(1, "the slope")))


def _selu(node: Node) -> Value:
    alpha, gamma = (
        node.made.get("alpha", 1.67326319217681884765625),
        node.made.get("gamma", 1.05070102214813232421875),
    )
    return node.rows.mapped(node.rows.call(_with_number("elu", alpha)).formula.times(gamma))


def _gelu(node: Node) -> Value:
    form = node.made.get("approximate", "none")
    if form not in ("none", "tanh"):
        raise ModelError(f"the form {form[:20]!r}, expected none or tanh.")
    return node.rows.call("gelu" if form == "none" else "gelu_tanh")


def _hard_sigmoid(node: Node) -> Value:
    alpha, beta = float(node.made.get("alpha", 0.2)), float(node.made.get("beta", 0.5))
    rows = node.rows
    return rows.mapped(rows.formula.times(6 * alpha).plus(6 * beta).call("relu6").times(1 / 6))


def _clip(node: Node) -> Value:
    low, high = (
        float(node.made[name]) if name in node.made else node.number(k, name) if node.has(k) else end
        for k, name, end in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    return _clipped(node.rows, low, high)


def _clipped(rows: Stream, low: float, high: float) -> Stream:
    """min(max(x, low), high), by the rectifiers that there are."""
    x = rows.formula
    if not low < high:
        raise ModelError(f"between {low:.6g} and {high:.6g}: expected room between them.")
    # The ends of float32 are what exporters write for "no end".
    lower, upper = low > -3.4e38, high < 3.4e38
    if lower and upper:
        width = high - low
        return rows.mapped(x.plus(-low).times(6 / width).call("relu6").times(width / 6).plus(low))
    if lower:
        return rows.mapped(x.plus(-low).call("relu").plus(low))
    return rows.mapped(x.times(-1.0).plus(high).call("relu").times(-1.0).plus(high)) if upper else rows


def _extreme(node: Node) -> Value:
    """Max or Min of rows and a number."""
    constants = [k for k, value in enumerate(node.inputs) if isinstance(value, np.ndarray)]
    rows = [value for value in node.inputs if isinstance(value, Stream)]
    if len(constants) != 1 or len(rows) != 1:
        raise ModelError("expected rows and one number.")
    number = node.number(constants[0], "the number")
    return _clipped(rows[0], *((number, math.inf) if node.kind == "Max" else (-math.inf, number)))


def _power(node: Node) -> Value:
    exponent = node.array(1, "the exponent")
    if exponent.size != 1 or float(exponent.reshape(-1)[0]) not in (1.0, 2.0, 3.0):
        raise ModelError("expected the exponent 1, 2 or 3.")
    x = power = node.rows.formula
    for _ in range(int(exponent.reshape(-1)[0]) - 1):
        power = power * x
    return node.rows.mapped(power)


def _negative(node: Node) -> Value:
    return node.rows.mapped(node.rows.formula.times(-1.0))


# --- shapes ---


def _reshape(node: Node) -> Value:
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


def _flatten(node: Node) -> Value:
    shape = node.rows.shape
    if (node.made.get("axis", 1) if shape is None else node.axis(1, len(shape) + 1)) != 1:
        raise ModelError(f"at axis {node.made.get('axis')}, expected 1: one row per sample.")
    return node.rows.flatten()


def _squeeze(node: Node) -> Value:
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


def _transpose(node: Node) -> Value:
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


def _pad(node: Node) -> Value:
    pads, rank = node.listed("pads", 1), len(image(node.rows.shape)) + 1
    fill = float(node.made.get("value", 0.0))
    if node.has(2):
        fill = float(node.array(2, "the value").reshape(-1)[0])
    if node.made.get("mode", "constant") != "constant" or fill != 0.0 or node.has(3):
        raise ModelError("with something other than zeros, expected mode constant and value 0.")
    if pads is None or len(pads) != 2 * rank or any(pads[k] or pads[k + rank] for k in (0, 1)):
        raise ModelError(f"by {pads}, expected eight numbers, zeros for rows and channels.")
    return node.rows.pad((pads[2], pads[3], pads[rank + 2], pads[rank + 3]))


def _shape(node: Node) -> Value:
    shape = node.rows.shape
    if shape is None:
        raise ModelError("the graph does not say the shape of its rows; export it with one.")
    whole = np.array([BATCH, *shape], np.int64)
    return whole[int(node.made.get("start", 0)) : node.made.get("end")]


def _cast(node: Node) -> Value:
    if node.made.get("to", 0) not in (1, 10, 11):
        raise ModelError("to something other than floating point.")
    return node.inputs[0] if isinstance(node.inputs[0], Stream) else node.rows


def _dropout(node: Node) -> Value:
    if node.has(2) and node.array(2, "the mode").any():
        raise ModelError("in training mode, expected a graph exported for inference.")
    return node.rows


def _identity(node: Node) -> Value:
    return node.inputs[0] if isinstance(node.inputs[0], Stream) else node.rows


# --- the end ---


def _softmax(node: Node) -> Value:
    shape = node.rows.shape
    rank = 2 if shape is None else len(shape) + 1
    axis = node.axis(1 if node.opset < 13 else -1, rank)
    if axis != 1 or (shape is not None and math.prod(shape[1:]) != 1):
        raise ModelError(
            f"at axis {axis} of rows of shape {shape}, expected it over all values of a flat row."
        )
    return node.rows.softmax_of()


def _log(node: Node) -> Value:
    first = node.inputs[0]
    if not isinstance(first, Stream) or not first.softmax:
        raise ModelError("expected it of Softmax alone.")
    return first


def _classes(node: Node) -> Value:
    raise ModelError("it gives classes, not their logits or probabilities: expected those among the outputs.")


def _concat(node: Node) -> Value:
    """The probabilities 1 - p and p of two classes, p a sigmoid: softmax of 0 and the logit."""
    one, two = node.inputs if len(node.inputs) == 2 else (None, None)
    if isinstance(one, Stream) and isinstance(two, Stream) and one.path is two.path and node.axis(1, 2) == 1:
        logit = two.formula.argument_of("sigmoid")
        if logit is not None and one.formula == two.formula.times(-1.0).plus(1.0) and one.shape == (1,):
            return two.mapped(logit).dense(np.array([[0.0, 1.0]]), np.zeros(())).softmax_of()
    raise ModelError("it joins values that were computed apart, expected one layer after another, or sums.")


def _linear_classifier(node: Node) -> Value:
    """scikit-learn's linear classifiers: coefficients (classes, features), intercepts (classes,)."""
    made = node.made
    intercepts = np.array(made.get("intercepts", []), np.float64)
    coefficients = np.array(made.get("coefficients", []), np.float64)
    classes, after = intercepts.size, made.get("post_transform", "NONE")
    if classes < 2 or coefficients.size % classes or not coefficients.size:
        raise ModelError(
            f"{coefficients.size} coefficients, {classes} intercepts: expected both for each class."
        )
    weight = coefficients.reshape(classes, -1).T
    if (
        after == "LOGISTIC"
        and classes == 2
        and np.array_equal(weight[:, 0], -weight[:, 1])
        and intercepts.sum() == 0
    ):
        # sigmoid(-z) and sigmoid(z) are the softmax of -z / 2 and z / 2.
        weight, intercepts = weight / 2, intercepts / 2
    elif after not in ("SOFTMAX", "NONE"):
        raise ModelError(
            f"{after[:20]} of {classes} scores, which is no softmax: expected multinomial probabilities."
        )
    _note_labels(node, made.get("classlabels_ints"))
    rows = node.rows.dense(weight, intercepts)
    return rows if after == "NONE" else rows.softmax_of()


def _normalizer(node: Node) -> Value:
    first = node.inputs[0]
    if isinstance(first, Stream) and first.softmax and node.made.get("norm") == "L1":
        return first  # probabilities add up to 1 as they are
    raise ModelError("expected it of probabilities, norm L1.")


def _zip_map(node: Node) -> Value:
    first = node.inputs[0]
    if not isinstance(first, Stream):
        raise ModelError("expected it of probabilities.")
    _note_labels(node, node.made.get("classlabels_int64s"))
    if "classlabels_strings" in node.made:
        node.notes.append("the classes have names in the file: here they count from 0 in that order.")
    return first


def _note_labels(node: Node, labels: list[int] | None) -> None:
    if labels and list(labels) != list(range(len(labels))):
        shown = ", ".join(map(str, labels[:6])) + (", …" if len(labels) > 6 else "")
        node.notes.append(f"the file calls its classes {shown}: here they count from 0 in that order.")


def _scaler(node: Node) -> Value:
    """scikit-learn's StandardScaler: (x - offset) scale."""
    offset, scale = (
        np.array(node.made.get(name, [0.0][: name == "offset"]), np.float64) for name in ("offset", "scale")
    )
    scale = scale if scale.size else np.ones(())
    shape = node.rows.shape
    values = [_each(value.reshape(()) if value.size == 1 else value, shape) for value in (scale, offset)]
    return node.rows.scaled(values[0], -values[0] * values[1])


OPERATORS: Final[dict[str, Operator]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "ReduceMean": _reduce_mean,
    "Add": _arithmetic,
    "Sub": _arithmetic,
    "Mul": _arithmetic,
    "Div": _arithmetic,
    "Sum": _sum,
    "Neg": _negative,
    "Pow": _power,
    "Min": _extreme,
    "Max": _extreme,
    "Clip": _clip,
    "Sigmoid": _function("sigmoid"),
    "Relu": _function("relu"),
    "Tanh": _function("tanh"),
    "Softplus": _function("softplus"),
    "Erf": _function("erf"),
    "Sqrt": _function("sqrt"),
    "Reciprocal": _function("inverse"),
    "HardSwish": _function("hard_swish"),
    "LeakyRelu": _sloped("leaky_relu", 0.01),
    "Elu": _sloped("elu", 1.0),
    "PRelu": _prelu,
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _squeeze,
    "Transpose": _transpose,
    "Pad": _pad,
    "Shape": _shape,
    "Cast": _cast,
    "Dropout": _dropout,
    "Identity": _identity,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Log": _log,
    "Concat": _concat,
    "ArgMax": _classes,
    "ai.onnx.ml.LinearClassifier": _linear_classifier,
    "ai.onnx.ml.Normalizer": _normalizer,
    "ai.onnx.ml.Scaler": _scaler,
    "ai.onnx.ml.ZipMap": _zip_map,
}


def unread(kind: str, *, on_rows: bool) -> str:
    """What to say of an operator that is not read."""
    if not on_rows:
        return f"the operator {kind[:60]!r} on constants, which is not evaluated. Simplify the graph: onnxsim, onnxslim."
    return (
        f"the operator {kind[:60]!r} is not read. Read are: {', '.join(name for name in OPERATORS if '.' not in name)}. "
        "Rebuild that part of the network from these and export it again."
    )
