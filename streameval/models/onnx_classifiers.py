"""ONNX operators at the end of a classifier, and those that scikit-learn's models are exported with.

Knows when outputs are a softmax, which is on top of a network anyway.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from streameval.errors import ModelError
from streameval.models.graphs.stream import Stream
from streameval.models.onnx_elementwise import each
from streameval.models.onnx_nodes import Node, Value
from streameval.models.onnx_refusals import UnfitError

ONLY_CLASSES: Final = "it gives classes, not their logits or probabilities: expected those among the outputs."


def softmax(node: Node) -> Value:
    shape = node.rows.shape
    rank = 2 if shape is None else len(shape) + 1
    axis = node.axis(1 if node.opset < 13 else -1, rank)
    if axis != 1 or (shape is not None and math.prod(shape[1:]) != 1):
        raise ModelError(
            f"at axis {axis} of rows of shape {shape}, expected it over all values of a flat row."
        )
    return node.rows.softmax_of()


def log(node: Node) -> Value:
    first = node.inputs[0]
    if not isinstance(first, Stream) or not first.softmax:
        raise ModelError("expected it of Softmax alone.")
    return first


def classes(node: Node) -> Value:
    raise UnfitError(ONLY_CLASSES)


def concat(node: Node) -> Value:
    """The probabilities 1 - p and p of two classes, p a sigmoid: softmax of 0 and the logit."""
    one, two = node.inputs if len(node.inputs) == 2 else (None, None)
    if isinstance(one, Stream) and isinstance(two, Stream) and one.path is two.path and node.axis(1, 2) == 1:
        logit = two.formula.argument_of("sigmoid")
        if logit is not None and one.formula == two.formula.times(-1.0).plus(1.0) and one.shape == (1,):
            return two.mapped(logit).dense(np.array([[0.0, 1.0]]), np.zeros(())).softmax_of()
    raise ModelError("it joins values that were computed apart, expected one layer after another, or sums.")


def linear_classifier(node: Node) -> Value:
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
    rows = node.rows.dense(weight, intercepts)
    return rows if after == "NONE" else rows.softmax_of()


def normalizer(node: Node) -> Value:
    first = node.inputs[0]
    if isinstance(first, Stream) and first.softmax and node.made.get("norm") == "L1":
        return first  # probabilities add up to 1 as they are
    raise ModelError("expected it of probabilities, norm L1.")


def zip_map(node: Node) -> Value:
    first = node.inputs[0]
    if not isinstance(first, Stream):
        raise ModelError("expected it of probabilities.")
    return first


def scaler(node: Node) -> Value:
    """scikit-learn's StandardScaler: (x - offset) scale."""
    offset, scale = (
        np.array(node.made.get(name, [0.0][: name == "offset"]), np.float64) for name in ("offset", "scale")
    )
    scale = scale if scale.size else np.ones(())
    shape = node.rows.shape
    values = [each(value.reshape(()) if value.size == 1 else value, shape) for value in (scale, offset)]
    return node.rows.scaled(values[0], -values[0] * values[1])
