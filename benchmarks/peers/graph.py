"""The network as one ONNX graph: Cast, Mul, Gemm, activation, SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.data import Dense

# What onnxruntime 1.18 and later read.
OPSET, IR_VERSION = 17, 9
_NODES = {"sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}


def build(layers: tuple[Dense, ...], dtype: Any, scale: float, reduction: str = "sum") -> bytes:
    """A graph from x (n, features) and t (n,) int64 to the sum or mean of the losses, a float32."""
    from onnx import TensorProto, helper, numpy_helper

    features = layers[0].weight.shape[0]
    is_bytes = np.dtype(dtype) == np.uint8
    nodes, constants, name = [], [], "x"
    if is_bytes:
        constants.append(numpy_helper.from_array(np.float32(scale).reshape(1), "scale"))
        nodes.append(helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", ["cast", "scale"], ["scaled"]))
        name = "scaled"
    for number, (weight, bias, activation) in enumerate(layers):
        constants.append(numpy_helper.from_array(weight, f"w{number}"))
        constants.append(numpy_helper.from_array(bias, f"b{number}"))
        nodes.append(helper.make_node("Gemm", [name, f"w{number}", f"b{number}"], [f"z{number}"]))
        name = f"z{number}"
        if activation != "identity":
            nodes.append(helper.make_node(_NODES[activation], [name], [f"a{number}"]))
            name = f"a{number}"
    nodes.append(helper.make_node("SoftmaxCrossEntropyLoss", [name, "t"], ["loss"], reduction=reduction))
    kind = TensorProto.UINT8 if is_bytes else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "loss",
        [
            helper.make_tensor_value_info("x", kind, ["n", features]),
            helper.make_tensor_value_info("t", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = IR_VERSION
    return bytes(made.SerializeToString())
