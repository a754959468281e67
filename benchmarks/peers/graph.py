"""The network as one ONNX graph: Cast, Mul, the layers, SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.layers import Average, Conv, Dense, Layer, Pool, Shape

# What onnxruntime 1.18 and later read.
OPSET, IR_VERSION = 17, 9
_NODES = {"sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}


def build(
    layers: tuple[Layer, ...], dtype: Any, scale: float, reduction: str = "sum", shape: Shape | None = None
) -> bytes:
    """A graph from x (n, *shape) and t (n,) int64 to the sum or mean of the losses, a float32.

    shape  of a row; of flat rows it need not be said
    """
    from onnx import TensorProto, helper

    shape = (layers[0].weight.shape[0],) if shape is None and isinstance(layers[0], Dense) else shape
    made = _Graph()
    name = "x"
    if np.dtype(dtype) == np.uint8:
        cast = made.add("Cast", name, to=TensorProto.FLOAT)
        name = made.add("Mul", cast, made.constant(np.float32(scale).reshape(1)))
    name = made.layers(layers, name, flat=len(shape or ()) == 1)
    made.nodes.append(helper.make_node("SoftmaxCrossEntropyLoss", [name, "t"], ["loss"], reduction=reduction))
    kind = TensorProto.UINT8 if np.dtype(dtype) == np.uint8 else TensorProto.FLOAT
    graph = helper.make_graph(
        made.nodes,
        "loss",
        [
            helper.make_tensor_value_info("x", kind, ["n", *(shape or ())]),
            helper.make_tensor_value_info("t", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])],
        made.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node; the name of what it gives."""
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [*inputs], [name], **attributes))
        return name

    def layers(self, layers: tuple[Layer, ...], name: str, *, flat: bool) -> str:
        """The layers one after another, from the value `name`."""
        for layer in layers:
            if isinstance(layer, Dense):
                name = name if flat else self.add("Flatten", name)
                flat = True
                name = self.add("Gemm", name, self.constant(layer.weight), self.constant(layer.bias))
            elif isinstance(layer, Conv):
                sides = {"pads": [layer.padding] * 4, "strides": [layer.stride] * 2}
                name = self.add("Conv", name, self.constant(layer.weight), self.constant(layer.bias), **sides)
            elif isinstance(layer, Pool):
                kind = "MaxPool" if layer.kind == "max" else "AveragePool"
                name = self.add(kind, name, kernel_shape=[2, 2], strides=[2, 2])
            elif isinstance(layer, Average):
                name = self.add("GlobalAveragePool", name)
            else:
                ways = [self.layers(way, name, flat=flat) for way in (layer.body, layer.shortcut)]
                name = self.add("Add", *ways)
            activation = getattr(layer, "activation", "identity")
            name = name if activation == "identity" else self.add(_NODES[activation], name)
        return name
