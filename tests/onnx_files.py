"""What the tests of ONNX files share: valid files, the reference evaluator's answer, plain formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from streameval.models import Mlp


def plain_logits(model: Mlp, x: np.ndarray) -> np.ndarray:
    """The network in float64, each formula written out."""
    forms = {
        "identity": lambda a: a,
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "relu": lambda a: np.maximum(a, 0),
        "tanh": np.tanh,
        "leaky_relu": lambda a: np.where(a > 0, a, 0.01 * a),
        "gelu": lambda a: a * (1 + erf(a / np.sqrt(2))) / 2,
        "softplus": lambda a: np.log1p(np.exp(a)),
    }
    for layer in model.layers:
        x = forms[layer.activation](x @ layer.weight.astype(float) + layer.bias.astype(float))
    return x


def graph(nodes: list[Any], constants: dict[str, np.ndarray], shape: tuple[Any, ...], dims: int = 2) -> Any:
    """A graph from float32 "x" of `shape` to "y" of so many dimensions."""
    onnx = pytest.importorskip("onnx")
    helper: Any = onnx.helper
    return helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ("N", "K", "H", "W")[:dims])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )


def saved(path: Path, made: Any, opset: int = 20) -> Path:
    """A valid model file of `made`."""
    onnx = pytest.importorskip("onnx")
    helper: Any = onnx.helper
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def reference(path: Path, x: np.ndarray) -> np.ndarray:
    """What the ONNX project's own evaluator gives."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    return np.asarray(ReferenceEvaluator(onnx.load(path)).run(None, {"x": x.astype(np.float32)})[0])
