"""Which ONNX operators are read on rows on their way through a network, and by what.

Operator sets 7 and newer: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from typing import Final

from streameval.models import onnx_classifiers as classifiers
from streameval.models import onnx_elementwise as elementwise
from streameval.models import onnx_layers as layers
from streameval.models import onnx_shapes as shapes
from streameval.models.onnx_nodes import Operator

OPERATORS: Final[dict[str, Operator]] = {
    "Conv": layers.conv,
    "Gemm": layers.gemm,
    "MatMul": layers.matmul,
    "BatchNormalization": layers.batch_norm,
    "LayerNormalization": layers.layer_norm,
    "MaxPool": layers.pool,
    "AveragePool": layers.pool,
    "GlobalAveragePool": layers.global_pool,
    "ReduceMean": layers.reduce_mean,
    "Add": elementwise.arithmetic,
    "Sub": elementwise.arithmetic,
    "Mul": elementwise.arithmetic,
    "Div": elementwise.arithmetic,
    "Sum": elementwise.sum_of,
    "Neg": elementwise.negative,
    "Pow": elementwise.power,
    "Min": elementwise.extreme,
    "Max": elementwise.extreme,
    "Clip": elementwise.clip,
    "Sigmoid": elementwise.function("sigmoid"),
    "Relu": elementwise.function("relu"),
    "Tanh": elementwise.function("tanh"),
    "Softplus": elementwise.function("softplus"),
    "Erf": elementwise.function("erf"),
    "Sqrt": elementwise.function("sqrt"),
    "Reciprocal": elementwise.function("inverse"),
    "HardSwish": elementwise.function("hard_swish"),
    "LeakyRelu": elementwise.sloped("leaky_relu", 0.01),
    "Elu": elementwise.sloped("elu", 1.0),
    "PRelu": elementwise.prelu,
    "Selu": elementwise.selu,
    "HardSigmoid": elementwise.hard_sigmoid,
    "Gelu": elementwise.gelu,
    "Flatten": shapes.flatten,
    "Reshape": shapes.reshape,
    "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.squeeze,
    "Transpose": shapes.transpose,
    "Pad": shapes.pad,
    "Shape": shapes.shape_of,
    "Cast": shapes.cast,
    "Dropout": shapes.dropout,
    "Identity": shapes.identity,
    "Softmax": classifiers.softmax,
    "LogSoftmax": classifiers.softmax,
    "Log": classifiers.log,
    "Concat": classifiers.concat,
    "ArgMax": classifiers.classes,
    "ai.onnx.ml.LinearClassifier": classifiers.linear_classifier,
    "ai.onnx.ml.Normalizer": classifiers.normalizer,
    "ai.onnx.ml.Scaler": classifiers.scaler,
    "ai.onnx.ml.ZipMap": classifiers.zip_map,
}


def unread(kind: str, *, on_rows: bool) -> str:
    """What to say of an operator that is not read."""
    if not on_rows:
        return f"the operator {kind[:60]!r} on constants is not evaluated. Simplify the graph with onnxsim or onnxslim."
    known = ", ".join(name for name in OPERATORS if "." not in name)
    return (
        f"the operator {kind[:60]!r} is not read. Read are: {known}. Rebuild that part of the network from these and "
        "export it again."
    )
