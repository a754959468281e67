"""Read a network out of an ONNX graph that is a straight line of dense layers.

Knows the operators such a graph is made of, and folds constants that scale or shift into the layer they
touch. Opens no other file, evaluates no graph: a loop, a branch, an operator that is not in `_STEPS` or
weights kept outside the file end the reading. Needs the extra `[onnx]`.

The operators: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.models.mlp import Layer
from streameval.models.naming import settle_activations
from streameval.models.onnx_attributes import attributes
from streameval.models.onnx_constants import EVALUATED, Constants
from streameval.models.onnx_tensors import check_inside, parse

MAX_DIMENSIONS: Final = 8
MAX_FEATURES: Final = 1 << 28

_Vector = NDArray[np.float64]


def load_layers(data: bytes, activation: str | Sequence[str] | None) -> tuple[list[Layer], list[str]]:
    """Return the layers of an ONNX graph, and what had to be decided.

    The outputs may be logits or end in Softmax or LogSoftmax; the softmax is on top of a network anyway.

    Raises:
        ModelError: damaged, external data, a branch, an operator that is not a dense network's, named;
            shapes that do not fit; or the extra is not installed.
    """
    model = parse(data)
    try:
        check_inside(model)
        line = _Line(model.graph, len(data))
        with np.errstate(all="ignore"):  # what overflows is found when the network is checked
            for node in model.graph.node:
                line.follow(node)
        layers = line.finish()
    except UnicodeDecodeError:
        raise ModelError("the ONNX file is damaged: a name in it is not text.") from None
    _, said = settle_activations(len(layers), [each.activation for each in layers], activation, default=None)
    return layers, [*line.notes, said]


class _Line:
    """The walk from the graph's input to its output: where it is, and the layer under construction.

    weight, bias   the dense layer that waits for its activation, (inputs, outputs) and (outputs,), or None
    scale, shift   what was applied to the values since the last layer; folded into the next one
    width          number of values per row where the graph says it, else None
    """

    def __init__(self, graph: Any, size: int) -> None:
        self.budget = 4 * size + 4096
        self.constants = Constants(graph, self.spend)
        inputs = [value for value in graph.input if value.name not in self.constants]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise ModelError(
                f"the graph has {len(inputs)} inputs and {len(graph.output)} outputs, expected one of each."
            )
        self.now = str(inputs[0].name)
        self.constants.claim(self.now)
        self.end = str(graph.output[0].name)
        dims = _dims(inputs[0])
        self.batch = dims[0] if dims else 0
        self.flat = len(dims) in (0, 2)
        self.width = math.prod(dims[1:]) or None if len(dims) > 1 else None
        self.layers: list[Layer] = []
        self.weight: _Vector | None = None
        self.bias: _Vector = np.zeros(0)
        self.scale: _Vector = np.ones(1)
        self.shift: _Vector = np.zeros(1)
        self.softmax = False
        self.notes: list[str] = []

    def follow(self, node: Any) -> None:
        """Take one node: a constant, or the next step of the line."""
        if not len(node.output):
            raise ModelError("a node without an output.")
        for name in filter(None, node.output):
            self.constants.claim(str(name))
        kind = str(node.op_type)
        step = _STEPS.get(kind)
        constant = kind in ("Constant", *EVALUATED) and self.now not in node.input
        if (step is None and not constant) or node.domain not in ("", "ai.onnx"):
            full = f"{node.domain}.{kind}".strip(".")[:60]
            raise ModelError(
                f"the graph uses the operator {full!r}, which a plain dense network does not need. "
                f"Read are: {', '.join(_STEPS)}. (Gelu: export with opset 20 or newer.)"
            )
        if constant or step is None:
            self.constants.remember(node)
            return
        if list(node.input).count(self.now) != 1:
            raise ModelError(
                f"the graph branches at {kind} ({str(node.name)[:60]!r}): it does not continue from "
                f"{self.now[:60]!r} alone; expected one layer after another."
            )
        if self.softmax:
            raise ModelError(f"the graph goes on with {kind} after its Softmax, expected that to be the end.")
        step(self, node, attributes(node))
        self.now = str(node.output[0])

    def finish(self) -> list[Layer]:
        """Return the layers, when the line has arrived at the graph's output."""
        if self.now != self.end:
            raise ModelError(
                f"the graph's output {self.end[:60]!r} is not where its layers end, {self.now[:60]!r}."
            )
        if self.weight is None:
            last = self.layers[-1].activation if self.layers else "no layer at all"
            raise ModelError(
                f"the graph ends with {last}, expected a dense layer's outputs (logits), or Softmax of them."
            )
        self.layers.append(Layer(self.weight, self.bias, "identity"))
        return self.layers

    def constant(self, name: str) -> NDArray[Any]:
        """Return a constant's numbers."""
        return self.constants.value(name)

    def other(self, node: Any, index: int, meaning: str) -> _Vector:
        """Return the node's input number `index`, which must be a constant, as float64."""
        if len(node.input) <= index or node.input[index] == self.now:
            raise ModelError(f"{node.op_type}: expected {meaning} as input {index}, a constant.")
        array = self.constant(node.input[index])
        if array.dtype.kind != "f":
            raise ModelError(f"{node.op_type}: {meaning} of type {array.dtype}, expected floating point.")
        return array.astype(np.float64)

    def spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise ModelError("the graph uses the same numbers again and again, more than the file holds.")

    # The steps.

    def dense(self, weight: _Vector, bias: _Vector) -> None:
        if weight.ndim != 2 or weight.size == 0 or not self.flat:
            raise ModelError(
                f"a product with a weight of shape {weight.shape}, of rows that are "
                f"{'' if self.flat else 'not '}flat; expected flat rows and (inputs, outputs)."
            )
        if self.weight is not None:
            self.layers.append(Layer(self.weight, self.bias, "identity"))
        said = self.layers[-1].outputs if self.layers else self.width
        if said not in (None, weight.shape[0]):
            raise ModelError(
                f"{said} values per row come to layer {len(self.layers) + 1}, whose weight {weight.shape} "
                f"takes {weight.shape[0]} inputs: expected the same number."
            )
        for values in (self.scale, self.shift):
            self.fits(values, weight.shape[0])
        self.fits(bias, weight.shape[1])
        self.bias = np.broadcast_to(bias.reshape(-1), weight.shape[1:])
        if self.shift.any():
            self.bias = self.bias + np.broadcast_to(self.shift, weight.shape[:1]) @ weight
        self.weight = weight * self.scale[:, None]
        self.scale, self.shift = np.ones(1), np.zeros(1)

    def gemm(self, node: Any, made: dict[str, Any]) -> None:
        alpha, beta = made.get("alpha", 1.0), made.get("beta", 1.0)
        weight = self.other(node, 1, "the weight")
        if made.get("transA") or weight.ndim != 2 or node.input[0] != self.now:
            raise ModelError("Gemm: expected rows first, not transposed, and a weight of two dimensions.")
        weight = weight.T if made.get("transB") else weight
        with_bias = len(node.input) > 2 and node.input[2]
        bias = self.other(node, 2, "the bias") if with_bias else np.zeros(1)
        self.dense(alpha * weight, beta * self.fits(bias, weight.shape[1]))

    def matmul(self, node: Any, made: dict[str, Any]) -> None:
        self.dense(self.other(node, 1, "the weight"), np.zeros(1))

    def affine(self, node: Any, made: dict[str, Any]) -> None:
        """Fold x * c, x / c, x + c, x - c or c - x into the layer before, or keep it for the next one."""
        first = node.input[0] == self.now
        value = self.other(node, 1 if first else 0, "a number, or one per value")
        kind = str(node.op_type)
        if kind == "Div" and not first:
            raise ModelError(
                "Div: a constant divided by the values, expected the values divided by a constant."
            )
        if not self.flat and value.size != 1:
            raise ModelError(f"{kind} by shape {value.shape} before the rows are flat, expected a number.")
        one, zero = np.ones(1), np.zeros(1)
        scale, shift = {
            "Mul": (value, zero),
            "Div": (1 / value, zero),
            "Add": (one, value),
            "Sub": (one, -value) if first else (-one, value),
        }[kind]
        if self.weight is not None:
            outputs = self.weight.shape[1]
            self.spend(self.weight.size)
            self.weight = self.weight * self.fits(scale, outputs)
            self.bias = self.bias * self.fits(scale, outputs) + self.fits(shift, outputs)
            return
        width = self.layers[-1].outputs if self.layers else self.width or value.size
        self.shift = self.shift * self.fits(scale, width) + self.fits(shift, width)
        self.scale = self.scale * self.fits(scale, width)
        if not self.layers:
            self.notes.append(
                f"the graph itself applies {kind} by {value.flat[0]:.6g} to its input: it may expect raw "
                "pixels. uint8 features are scaled by 1/255 before they reach it, unless --scale 1 is given."
            )

    def fits(self, values: _Vector, width: int) -> _Vector:
        """Return a number, or one number per value, as 1-D; the row dimension of size 1 is dropped."""
        if values.size not in (1, width) or values.size != max(values.shape, default=1):
            raise ModelError(f"a constant of shape {values.shape} where {width} values per row meet it.")
        self.spend(values.size)
        return values.reshape(-1)

    def activation(self, name: str) -> None:
        if self.weight is None:
            raise ModelError(f"the activation {name} does not follow a dense layer.")
        self.layers.append(Layer(self.weight, self.bias, name))
        self.weight = None

    def leaky(self, node: Any, made: dict[str, Any]) -> None:
        alpha = made.get("alpha", 0.01)
        if abs(alpha - 0.01) > 1e-8:
            raise ModelError(
                f"LeakyRelu with slope {alpha:.6g}, expected 0.01, the only one that is computed."
            )
        self.activation("leaky_relu")

    def gelu(self, node: Any, made: dict[str, Any]) -> None:
        form = made.get("approximate", "none")
        if form != "none":
            raise ModelError(f"Gelu in its {form[:20]!r} form, expected the exact one (approximate='none').")
        self.activation("gelu")

    def flatten(self, node: Any, made: dict[str, Any]) -> None:
        axis = made.get("axis", 1)
        if axis != 1:
            raise ModelError(f"Flatten at axis {axis}, expected 1: one row per sample.")
        self.flat = True

    def reshape(self, node: Any, made: dict[str, Any]) -> None:
        array = self.constant(node.input[1]) if len(node.input) > 1 else np.zeros(0, np.int64)
        shape = [int(n) for n in array.reshape(-1)[:9]] if array.dtype.kind == "i" else []
        width = self.layers[-1].outputs if self.layers else self.width
        rows_stay = len(shape) == 2 and shape[0] in (-1, 0, self.batch or -1)
        if (
            not rows_stay
            or (made.get("allowzero") and 0 in shape)
            or (shape[1] != -1 and width not in (None, shape[1]))
            or shape == [-1, -1]
        ):
            raise ModelError(f"Reshape to {shape}, expected one flat row per sample, for instance [-1, 784].")
        self.flat = True
        if shape[1] > 0 and not self.layers:
            self.width = shape[1]

    def cast(self, node: Any, made: dict[str, Any]) -> None:
        target = made.get("to", 0)
        if target not in (1, 10, 11):
            raise ModelError("Cast to something other than floating point.")

    def dropout(self, node: Any, made: dict[str, Any]) -> None:
        training = len(node.input) > 2 and node.input[2]
        if training and self.constant(node.input[2]).any():
            raise ModelError("Dropout in training mode, expected a graph exported for inference.")

    def end_in_softmax(self, node: Any, made: dict[str, Any]) -> None:
        axis = made.get("axis", -1)
        if axis not in (1, -1) or self.weight is None:
            raise ModelError(
                f"{node.op_type} at axis {axis} or before a dense layer, expected it at the end."
            )
        self.softmax = True


_Step = Callable[[_Line, Any, dict[str, Any]], None]
_STEPS: dict[str, _Step] = {
    "Gemm": _Line.gemm,
    "MatMul": _Line.matmul,
    "Add": _Line.affine,
    "Sub": _Line.affine,
    "Mul": _Line.affine,
    "Div": _Line.affine,
    "Sigmoid": lambda line, node, made: line.activation("sigmoid"),
    "Relu": lambda line, node, made: line.activation("relu"),
    "Tanh": lambda line, node, made: line.activation("tanh"),
    "Softplus": lambda line, node, made: line.activation("softplus"),
    "LeakyRelu": _Line.leaky,
    "Gelu": _Line.gelu,
    "Flatten": _Line.flatten,
    "Reshape": _Line.reshape,
    "Cast": _Line.cast,
    "Dropout": _Line.dropout,
    "Identity": lambda line, node, made: None,
    "Softmax": _Line.end_in_softmax,
    "LogSoftmax": _Line.end_in_softmax,
}


def _dims(value: Any) -> list[int]:
    """Return the sizes of a graph's input, 0 where one is open. Raises ModelError for what no row can have."""
    dims = [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim[: MAX_DIMENSIONS + 1]]
    if len(dims) > MAX_DIMENSIONS or min(dims, default=0) < 0 or math.prod(dims[1:]) > MAX_FEATURES:
        raise ModelError(
            f"the graph's input has shape {dims}, expected at most {MAX_DIMENSIONS} dimensions, none below 0, and at "
            f"most {MAX_FEATURES} numbers in a row."
        )
    return dims
