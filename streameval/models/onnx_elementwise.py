"""ONNX operators on each value alone, on a constant for each channel, and sums of two ways.

Knows that an activation may be spelt out in several of them: `graphs.formulas` puts those together.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from streameval.errors import ModelError
from streameval.layers.layer import Shape
from streameval.models.graphs.steps import Numbers
from streameval.models.graphs.stream import Stream, short
from streameval.models.onnx_nodes import Node, Operator, Value


def arithmetic(node: Node) -> Value:
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
    value = each(node.numbers(1 if first else 0, "a number, or one per value"), rows.shape)
    if node.kind == "Div" and not first:
        raise ModelError("a constant divided by the values, expected the values divided by a constant.")
    ones, zeros = np.ones(()), np.zeros(())
    sign = 1.0 if first else -1.0
    if node.kind in ("Mul", "Div"):
        scale, shift = (1 / value if node.kind == "Div" else value), zeros
    elif node.kind == "Add":
        scale, shift = ones, value
    else:
        scale, shift = sign * ones, -sign * value
    if rows.is_input:
        node.notes.append(
            f"the graph itself applies {node.kind} by {value.reshape(-1)[0]:.6g} to its input: it may expect raw "
            "pixels. uint8 features are scaled by 1/255 before they reach it, unless --scale 1 is given."
        )
    return rows.scaled(scale, shift)


def sum_of(node: Node) -> Value:
    total = node.inputs[0]
    for value in node.inputs[1:]:
        total = arithmetic(replace(node, kind="Add", inputs=[total, value]))
    if total is None:
        raise ModelError("a sum of nothing.")
    return total


def each(value: Numbers, shape: Shape | None) -> Numbers:
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


def function(name: str) -> Operator:
    return lambda node: node.rows.call(name)


def sloped(name: str, default: float) -> Operator:
    """An activation with a number, `alpha`."""
    return lambda node: node.rows.call(_with_number(name, float(node.made.get("alpha", default))))


def _with_number(name: str, value: float) -> str:
    return f"{name}({short(value)!r})"


def prelu(node: Node) -> Value:
    return node.rows.call(_with_number("leaky_relu", node.number(1, "the slope")))


def selu(node: Node) -> Value:
    alpha, gamma = (
        node.made.get("alpha", 1.67326319217681884765625),
        node.made.get("gamma", 1.05070102214813232421875),
    )
    return node.rows.mapped(node.rows.call(_with_number("elu", alpha)).formula.times(gamma))


def gelu(node: Node) -> Value:
    form = node.made.get("approximate", "none")
    if form not in ("none", "tanh"):
        raise ModelError(f"the form {form[:20]!r}, expected none or tanh.")
    return node.rows.call("gelu" if form == "none" else "gelu_tanh")


def hard_sigmoid(node: Node) -> Value:
    alpha, beta = float(node.made.get("alpha", 0.2)), float(node.made.get("beta", 0.5))
    rows = node.rows
    return rows.mapped(rows.formula.times(6 * alpha).plus(6 * beta).call("relu6").times(1 / 6))


def clip(node: Node) -> Value:
    low, high = (
        float(node.made[name]) if name in node.made else node.number(k, name) if node.has(k) else end
        for k, name, end in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    return node.rows.clipped(low, high)


def extreme(node: Node) -> Value:
    """Max or Min of rows and a number."""
    constants = [k for k, value in enumerate(node.inputs) if isinstance(value, np.ndarray)]
    rows = [value for value in node.inputs if isinstance(value, Stream)]
    if len(constants) != 1 or len(rows) != 1:
        raise ModelError("expected rows and one number.")
    number = node.number(constants[0], "the number")
    return rows[0].clipped(*((number, math.inf) if node.kind == "Max" else (-math.inf, number)))


def power(node: Node) -> Value:
    exponent = node.array(1, "the exponent")
    if exponent.size != 1 or float(exponent.reshape(-1)[0]) not in (1.0, 2.0, 3.0):
        raise ModelError("expected the exponent 1, 2 or 3.")
    x = power = node.rows.formula
    for _ in range(int(exponent.reshape(-1)[0]) - 1):
        power = power * x
    return node.rows.mapped(power)


def negative(node: Node) -> Value:
    return node.rows.mapped(node.rows.formula.times(-1.0))
