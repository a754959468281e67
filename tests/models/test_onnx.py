"""Straight-line ONNX graphs become networks that give what the ONNX reference evaluator gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_files import graph, plain_logits, reference, saved

from streameval.errors import ModelError
from streameval.models import load

onnx = pytest.importorskip("onnx")
helper: Any = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("operator", "name", "settings"),
    [
        ("Sigmoid", "sigmoid", {}),
        ("Relu", "relu", {}),
        ("Tanh", "tanh", {}),
        ("Softplus", "softplus", {}),
        ("LeakyRelu", "leaky_relu", {}),
        ("LeakyRelu", "leaky_relu", {"alpha": 0.01}),
        ("Gelu", "gelu", {}),
    ],
)
def test_each_activation_means_what_onnx_says(tmp_path, operator, name, settings):
    nodes = [
        helper.make_node("Gemm", ["x", "A", "a"], ["h"]),
        helper.make_node(operator, ["h"], ["z"], **settings),
        helper.make_node("Gemm", ["z", "B", "b"], ["y"]),
    ]
    constants = {"A": numbers(5, 7), "a": numbers(7), "B": numbers(7, 3), "b": numbers(3)}
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 5)))

    model = load(path)

    assert model.activations == (name, "identity")
    x = numbers(11, 5, seed=1)
    np.testing.assert_allclose(plain_logits(model, x), reference(path, x), atol=2e-5)


def test_a_graph_with_pixels_flatten_scale_and_softmax_gives_the_reference_probabilities(tmp_path):
    """The usual export: Cast, Div by 255, Flatten, MatMul + Add, Gemm with alpha and beta, Softmax."""
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=FLOAT),
        helper.make_node("Div", ["c", "k"], ["d"]),
        helper.make_node("Sub", ["d", "mean"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Dropout", ["f"], ["g"]),
        helper.make_node("MatMul", ["g", "A"], ["h"]),
        helper.make_node("Add", ["a", "h"], ["i"]),
        helper.make_node("Mul", ["i", "s"], ["j"]),
        helper.make_node("Tanh", ["j"], ["t"]),
        helper.make_node("Sub", ["one", "t"], ["u"]),
        helper.make_node("Mul", ["u", "v"], ["w"]),
        helper.make_node("Gemm", ["w", "B", "b"], ["z"], transB=1, alpha=0.5, beta=2.0),
        helper.make_node("Softmax", ["z"], ["y"]),
    ]
    constants = {
        "k": np.float32(255),
        "mean": np.array([0.13], np.float32),
        "A": numbers(12, 6),
        "a": numbers(1, 6),
        "s": numbers(6, seed=3),
        "one": np.float32(1),
        "v": numbers(6, seed=4),
        "B": numbers(3, 6),
        "b": numbers(3),
    }
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 3, 4)))

    model = load(path)

    assert model.sizes == (12, 6, 3)
    assert any("--scale 1" in note for note in model.notes)
    x = np.random.default_rng(5).integers(0, 256, (9, 1, 3, 4)).astype(np.float32)
    logits = plain_logits(model, x.reshape(9, 12))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, reference(path, x), atol=1e-5)


def test_weights_in_constant_nodes_transposes_and_reshape_are_found(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["A"], value=onnx.numpy_helper.from_array(numbers(4, 6))),
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 6]),
        helper.make_node("Constant", [], ["k"], value_float=0.5),
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Transpose", ["A"], ["T"], perm=[1, 0]),
        helper.make_node("Identity", ["T"], ["U"]),
        helper.make_node("Mul", ["r", "k"], ["m"]),
        helper.make_node("MatMul", ["m", "U"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", graph(nodes, {}, ("N", 2, 3)))

    model = load(path)

    x = numbers(5, 2, 3)
    np.testing.assert_allclose(plain_logits(model, x.reshape(5, 6)), reference(path, x), atol=1e-6)


@pytest.mark.parametrize(
    ("beta", "bias"),
    [(float("nan"), None), (float("inf"), None), (0.0, [np.inf, np.nan, 1.0])],
)
def test_a_beta_that_meets_no_bias_says_nothing(tmp_path, beta, bias):
    given = {} if bias is None else {"b": np.array(bias, np.float32)}
    nodes = [helper.make_node("Gemm", ["x", "B", *given], ["y"], beta=beta)]
    path = saved(tmp_path / "m.onnx", graph(nodes, {"B": numbers(5, 3), **given}, ("N", 5)))

    x = numbers(4, 5, seed=1)
    np.testing.assert_allclose(plain_logits(load(path), x), reference(path, x), atol=2e-5)


def test_two_dense_layers_without_an_activation_between_them_stay_two(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "A"], ["h"]),
        helper.make_node("MatMul", ["h", "B"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", graph(nodes, {"A": numbers(4, 5), "B": numbers(5, 3)}, ("N", 4)))

    assert load(path).activations == ("identity", "identity")
    assert load(path, activation="identity").sizes == (4, 5, 3)
    with pytest.raises(ModelError, match="Leave --activation out"):
        load(path, activation="relu")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("raw", [True, False])
def test_numbers_are_read_from_raw_bytes_and_from_typed_fields_alike(tmp_path, kind, raw):
    values = numbers(4, 3).astype(kind)
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    content = values.tobytes() if raw else values.ravel().tolist()
    made = graph([helper.make_node("MatMul", ["x", "A"], ["y"])], {}, ("N", 4))
    made.initializer.append(helper.make_tensor("A", code, values.shape, content, raw=raw))
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(made).SerializeToString())

    np.testing.assert_array_equal(load(path).layers[0].weight, values.astype(np.float32))
