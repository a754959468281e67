"""Zeros that an ONNX graph puts around images, wherever it does, count as ONNX Runtime counts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_models import numbers
from onnx_files import graph, saved

from streameval.models import load

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra [bench]")
node: Any = onnx.helper.make_node


def check(path: Path, shape: tuple[int, ...]) -> Any:
    """Load, compare the outputs with ONNX Runtime's on random rows, and return the network."""
    model = load(path)
    x = numbers(5, *shape)
    expected = runtime.InferenceSession(path).run(None, {"x": x})[0]
    given = model.reference(x.astype(np.float64).reshape(5, -1))
    np.testing.assert_allclose(given, expected.reshape(5, -1), atol=2e-5)
    assert expected.std() > 1e-2
    return model


AFTER: dict[str, tuple[list[Any], dict[str, np.ndarray]]] = {
    "the largest": ([node("MaxPool", ["h"], ["y"], kernel_shape=[2, 2])], {}),
    "means": ([node("AveragePool", ["h"], ["y"], kernel_shape=[3, 3])], {}),
    "means of windows that begin in the zeros": (
        [
            node("AveragePool", ["h"], ["i"], kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1),
            node("GlobalAveragePool", ["i"], ["y"]),
        ],
        {},
    ),
    "means of windows of zeros alone": ([node("AveragePool", ["h"], ["y"], kernel_shape=[1, 2])], {}),
    "means of own values": (
        [node("AveragePool", ["h"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0)],
        {},
    ),
    "the mean of all": ([node("GlobalAveragePool", ["h"], ["y"])], {}),
    "a normalisation": (
        [node("BatchNormalization", ["h", "one", "b", "b", "one"], ["i"]), node("Conv", ["i", "v"], ["y"])],
        {"one": np.ones(2, np.float32), "b": np.abs(numbers(2)), "v": numbers(2, 2, 2, 2)},
    ),
    "an activation": (
        [node("Sigmoid", ["h"], ["i"]), node("Conv", ["i", "v"], ["y"])],
        {"v": numbers(2, 2, 2, 2)},
    ),
}


@pytest.mark.parametrize("case", AFTER)
def test_zeros_around_an_image_count_whatever_comes_after_them(tmp_path, case):
    after, constants = AFTER[case]
    pads = np.array([0, 0, 1, 2, 0, 0, 0, 1])
    nodes = [node("Conv", ["x", "w"], ["g"]), node("Pad", ["g", "p"], ["h"]), *after]
    made = graph(nodes, {"p": pads, "w": numbers(2, 1, 3, 3), **constants}, ("N", 1, 7, 6), dims=4)

    check(saved(tmp_path / "m.onnx", made), (1, 7, 6))


def test_zeros_that_no_other_layer_takes_in_are_a_layer_that_copies(tmp_path):
    pads = np.array([0, 0, 1, 2, 0, 0, 0, 1])
    nodes = [
        node("Conv", ["x", "w"], ["g"]), node("Pad", ["g", "p"], ["h"]),
        node("MaxPool", ["h"], ["y"], kernel_shape=[2, 2]),
    ]  # fmt: skip
    made = graph(nodes, {"p": pads, "w": numbers(2, 1, 3, 3)}, ("N", 1, 5, 5), dims=4)

    convolution, copy, pool = check(saved(tmp_path / "m.onnx", made), (1, 5, 5)).layers

    assert (convolution.padding, copy.padding, copy.groups, pool.padding) == (
        (0,) * 4,
        (1, 2, 0, 1),
        2,
        (0,) * 4,
    )
    assert (copy.weight == 1).all()
    assert not copy.bias.any()
