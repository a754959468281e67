"""Each layer's shape and float64 formula against its naive twin, and what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import naive
import numpy as np
import pytest
import tensors
from hypothesis import given, settings
from hypothesis import strategies as st

import streameval as se
from streameval.errors import ModelError
from streameval.layers import layer_classes
from streameval.models.network import Network

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


# One of each kind, for an image of (4, 6, 5) or what such an image becomes.
EXAMPLES = {
    "dense": se.Dense(normal(120, 3), normal(3), "tanh"),
    "conv2d": se.Conv2d(normal(6, 2, 3, 2), normal(6), stride=(2, 1), padding=1, groups=2, activation="silu"),
    "max_pool2d": se.MaxPool2d(2, 1, 1),
    "avg_pool2d": se.AvgPool2d((3, 2), ceil_mode=True),
    "global_avg_pool2d": se.GlobalAvgPool2d(),
    "batch_norm": se.BatchNorm(normal(4), normal(4), "relu"),
    "layer_norm": se.LayerNorm(normal(30), normal(30)),
    "flatten": se.Flatten(),
    "dropout": se.Dropout(0.5),
    "activation": se.Activation("elu(0.5)"),
    "residual": se.Residual([se.Conv2d(normal(4, 4, 3, 3), padding=1)], activation="relu"),
}


def reference(layers: list[Any], x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    network = Network(layers, shape=shape)
    out = network.reference(x.reshape(len(x), -1).astype(np.float64))
    return out.reshape(len(x), *network.shapes[-1])


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(pair)
    padding = tuple(draw(st.integers(0, kernel[k % 2] - 1)) for k in range(4))
    image = (draw(st.integers(kernel[0], 7)), draw(st.integers(kernel[1], 7)))
    return {"kernel": kernel, "stride": draw(pair), "padding": padding, "image": image}


@settings(deadline=None)
@given(sizes(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_convolution_is_its_twin(size: dict[str, Any], groups: int, inside: int, outside: int) -> None:
    weight = normal(groups * outside, inside, *size["kernel"])
    bias, x = normal(groups * outside), normal(2, groups * inside, *size["image"])
    layer = se.Conv2d(weight, bias, stride=size["stride"], padding=size["padding"], groups=groups)
    exact = naive.conv2d(x, weight, bias, size["stride"], size["padding"], groups)
    found = reference([layer], x, x.shape[1:])
    assert found.shape == exact.shape
    assert found == pytest.approx(exact, rel=1e-12, abs=1e-12)
    assert layer.multiply_adds(x.shape[1:]) == weight.size * exact[0, 0].size


@settings(deadline=None)
@given(sizes(), st.booleans(), st.booleans())
def test_pooling_is_its_twin(size: dict[str, Any], ceil: bool, pad: bool) -> None:
    x = normal(2, 3, *size["image"])
    sizes_ = (size["kernel"], size["stride"], size["padding"])
    found = reference([se.MaxPool2d(*sizes_, ceil_mode=ceil)], x, x.shape[1:])
    assert np.array_equal(found, naive.max_pool2d(x, *sizes_, ceil=ceil))
    layer = se.AvgPool2d(*sizes_, ceil_mode=ceil, count_include_pad=pad)
    exact = naive.avg_pool2d(x, *sizes_, ceil=ceil, pad=pad)
    assert reference([layer], x, x.shape[1:]) == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_the_other_layers_are_their_twins() -> None:
    x = normal(5, 4, 6, 5).astype(np.float64)
    shape = x.shape[1:]
    assert reference([se.GlobalAvgPool2d()], x, shape) == pytest.approx(x.mean(axis=(2, 3), keepdims=True))
    trained = [normal(4), normal(4) + 1, normal(4), normal(4) ** 2]
    layer = se.BatchNorm.trained(*trained, eps=1e-3, activation="relu")
    exact = naive.relu(naive.batch_norm(x, *(a.astype(np.float64) for a in trained), 1e-3))
    assert reference([layer], x, shape) == pytest.approx(exact, rel=1e-6, abs=1e-6)
    for features in (5, 30, 120):
        gamma, beta = normal(features), normal(features)
        exact = naive.layer_norm(x.reshape(-1, features), gamma, beta, 1e-5).reshape(x.shape)
        assert reference([se.LayerNorm(gamma, beta)], x, shape) == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert np.array_equal(reference([se.Flatten()], x, shape), x.reshape(5, -1))
    assert np.array_equal(reference([se.Dropout(0.5)], x, shape), x / 2)
    found = reference([se.Activation("elu(0.5)")], x, shape)
    assert found == pytest.approx(naive.elu(x, 0.5), rel=1e-12)


def test_a_residual_layer_adds_its_branches() -> None:
    x = normal(2, 4, 6, 5).astype(np.float64)
    one, two = normal(6, 4, 3, 3), normal(6, 4, 1, 1)
    layer = se.Residual([se.Conv2d(one, padding=1)], [se.Conv2d(two)], "relu")
    zeros = np.zeros(6)
    exact = naive.relu(naive.conv2d(x, one, zeros, padding=(1, 1, 1, 1)) + naive.conv2d(x, two, zeros))
    assert reference([layer], x, (4, 6, 5)) == pytest.approx(exact, rel=1e-9, abs=1e-12)
    assert layer.multiply_adds((4, 6, 5)) == (one.size + two.size) * 30
    own = se.Residual([se.Dropout(0.5)])
    assert reference([own], x, (4, 6, 5)) == pytest.approx(1.5 * x)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_network_with_it_has_a_shape_and_a_hash_that_survives_pickling(kind: str) -> None:
    network = Network([EXAMPLES[kind]], shape=(4, 6, 5))
    assert network.shapes[-1] == network.reference(normal(1, 120).astype(np.float64)).shape[1:] or (
        network.outputs == network.reference(normal(1, 120).astype(np.float64)).shape[1]
    )
    assert pickle.loads(pickle.dumps(network)) == network
    assert network.multiply_adds >= 0


def test_there_is_an_example_of_each_kind_and_all_hashes_differ() -> None:
    assert [*EXAMPLES] == [layer.kind for layer in layer_classes()]
    others = [
        se.Conv2d(normal(6, 2, 3, 2), normal(6), stride=(2, 1), padding=1, groups=2),
        se.Conv2d(normal(6, 4, 3, 2), normal(6), stride=(2, 1), padding=1),
        se.Conv2d(normal(6, 4, 3, 2), normal(6), stride=(2, 1), padding=2),
        se.Conv2d(normal(6, 4, 3, 2), normal(6), padding=2),
        se.Dropout(),
        se.Activation("elu"),
        se.AvgPool2d(2, 1, 1),
        se.AvgPool2d(2, 1, 1, count_include_pad=False),
        se.AvgPool2d(2, 1, 1, ceil_mode=True),
        se.LayerNorm(normal(30), normal(30), eps=1e-6),
        se.Residual([se.Conv2d(normal(4, 4, 3, 3), padding=1)]),
        se.Residual([se.Dropout()], [se.Conv2d(normal(4, 4, 3, 3), padding=1)]),
    ]
    layers = [*EXAMPLES.values(), *others]
    assert len({Network([layer], shape=(4, 6, 5)).sha256 for layer in layers}) == len(layers)


def test_the_usual_number_of_an_activation_is_not_written() -> None:
    assert se.Activation("leaky_relu(0.01)").activation == "leaky_relu"
    assert se.Activation("leaky_relu(0.20)").activation == "leaky_relu(0.2)"
    assert se.Dense(normal(3, 2), normal(2), "elu(1)").activation == "elu"


@pytest.mark.parametrize("kind", tensors.KINDS.values(), ids=tensors.KINDS)
def test_parameters_are_taken_as_torch_has_them(kind: dict[str, Any]) -> None:
    weight, bias = normal(3, 2).astype(np.float32), normal(2).astype(np.float32)
    found = se.Layer(tensors.Tensor(weight, **kind), tensors.Tensor(bias, **kind), "identity")
    assert np.array_equal(found.weight, weight)
    assert np.array_equal(found.bias, bias)
    four = [normal(3), normal(3), normal(3), np.ones(3)]
    trained = se.BatchNorm.trained(*(tensors.Tensor(one, dtype="torch.float64") for one in four))
    assert np.array_equal(trained.scale, se.BatchNorm.trained(*four).scale)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: se.Layer(tensors.Tensor(np.eye(2), sparse=True), np.zeros(2), "identity"),
            r"weight: a tensors\.Tensor that does not become an array .*weight\.to_dense",
        ),
        (lambda: se.Layer([[1.0], [1.0, 2.0]], np.zeros(2), "identity"), "weight: a .*rows of one length"),
        (lambda: se.Activation("relu(2)"), "is not known"),
        (lambda: se.Activation("elu(inf)"), "is not known"),
        (lambda: se.Activation("elu(0.5"), "is not known"),
        (lambda: se.Activation("softmax"), r"the loss takes it of the logits\. End with 'identity'"),
        (
            lambda: se.Layer(np.zeros((2, 5)), np.zeros(2), "relu"),
            r"expected \(5,\)\. Of .* PyTorch .*weight\.T",
        ),
        (lambda: se.Layer(np.zeros((2, 5)), np.zeros(3), "relu"), r"expected \(5,\)\.$"),
        (lambda: se.Activation("swish"), "Known are: identity, .*leaky_relu, elu"),
        (
            lambda: se.Conv2d(np.zeros((2, 1, 3), np.float32)),
            r"weight: shape \(2, 1, 3\), expected \(outputs",
        ),
        (
            lambda: se.Conv2d(np.zeros((2, 1, 3, 3), np.float32), np.zeros(3)),
            r"bias: shape \(3,\).*expected \(2,\)",
        ),
        (lambda: se.Conv2d(np.zeros((2, 1, 3, 3), int)), "weight: int64, expected floating point"),
        (lambda: se.Conv2d(np.zeros((3, 1, 3, 3)), groups=2), "3 outputs cannot be shared"),
        (
            lambda: se.Conv2d(np.zeros((3, 1, 3, 3)), stride=0),
            "stride: 0, expected 1 or 2 whole numbers, at least 1",
        ),
        (
            lambda: se.Conv2d(np.zeros((3, 1, 3, 3)), padding=(1, 2, 3)),
            "padding: .*1 or 2 or 4 whole numbers",
        ),
        (lambda: se.MaxPool2d(2, padding=2), "would lie in the padding alone"),
        (lambda: se.MaxPool2d(2.5), "kernel: 2.5, expected"),
        (lambda: se.BatchNorm(normal(3), normal(4)), r"shift: shape \(4,\).*expected \(3,\)"),
        (lambda: se.BatchNorm.trained(normal(3), normal(3), normal(3), -np.ones(3)), "variance: -1.0"),
        (lambda: se.LayerNorm(normal(3), eps=0.0), "eps: 0.0, expected a number over 0"),
        (lambda: se.Dropout(float("nan")), "factor: nan"),
        (lambda: se.Residual([]), "body: no layers"),
        (lambda: se.Residual([5]), "body, layer 1: int"),
        (lambda: Network([se.Flatten()]), r"Say which: Network\(layers, shape="),
        (
            lambda: Network([se.MaxPool2d(2)], shape=(784,)),
            r"layer 1: .*takes \(channels, height, width\), not \(784,\)",
        ),
        (
            lambda: Network([EXAMPLES["conv2d"]], shape=(3, 9, 9)),
            r"layer 1: .* takes 4 channels, not \(3, 9, 9\)",
        ),
        (lambda: Network([EXAMPLES["conv2d"]], shape=(4, 0, 0)), "does not fit into an image"),
        (lambda: Network([EXAMPLES["batch_norm"]], shape=(5, 4, 4)), r"4 channels does not fit \(5, 4, 4\)"),
        (lambda: Network([EXAMPLES["layer_norm"]], shape=(7, 4)), r"30 features does not fit the last axes"),
        (
            lambda: Network([se.Flatten(), se.Residual([EXAMPLES["dense"]])], shape=(4, 6, 5)),
            r"layer 2: the body of a residual layer gives \(3,\) for \(120,\), its shortcut \(120,\)",
        ),
        (
            lambda: Network([se.Residual([se.Conv2d(np.full((1, 1, 1, 1), np.nan))])], shape=(1, 2, 2)),
            r"layer 1, body.1.weight\[0, 0, 0, 0\]: nan",
        ),
    ],
)
def test_what_means_nothing_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        make()
