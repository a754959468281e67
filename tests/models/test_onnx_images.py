"""ONNX graphs of convolutions, pooling, normalisation and sums give what the ONNX reference evaluator gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hostile_models import numbers
from onnx_files import graph, reference, saved

from streameval.errors import ModelError
from streameval.models import load

onnx = pytest.importorskip("onnx")
helper: Any = onnx.helper
node = helper.make_node
Nodes = list[Any]
Constants = dict[str, np.ndarray]


def logits(model: Any, x: np.ndarray) -> np.ndarray:
    """The network's layers in float64, one after another."""
    values = x.astype(np.float64).reshape(len(x), *model.shape)
    for layer in model.layers:
        values = layer.reference(values)
    return values.reshape(len(x), -1)


def check(path: Any, shape: tuple[int, ...], *, atol: float = 2e-5, batch: int = 3) -> Any:
    """Load, compare with the reference evaluator on random rows, and return the network."""
    model = load(path)
    x = numbers(batch, *shape)
    expected = reference(path, x).reshape(batch, -1)
    np.testing.assert_allclose(logits(model, x), expected, atol=atol)
    assert expected.std() > 1e-3
    return model


CONVOLUTIONS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((5, 2, 3, 3), {}),
    "strides and pads of each side": ((5, 2, 3, 2), {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
    "depthwise": ((4, 1, 3, 3), {"group": 2}),
    "same upper": ((3, 2, 4, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((3, 2, 4, 2), {"auto_pad": "SAME_LOWER"}),
    "valid": ((3, 2, 5, 5), {"auto_pad": "VALID", "kernel_shape": [5, 5]}),
    "dilated": ((3, 2, 3, 2), {"dilations": [2, 3]}),
    "one by one": ((6, 2, 1, 1), {"strides": [2, 1]}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_every_kind_of_convolution_means_what_onnx_says(tmp_path, case):
    shape, settings = CONVOLUTIONS[case]
    constants = {"w": numbers(*shape), "b": numbers(shape[0])}
    path = saved(
        tmp_path / "m.onnx",
        graph([node("Conv", ["x", "w", "b"], ["y"], **settings)], constants, ("N", 2, 9, 8), dims=4),
    )

    check(path, (2, 9, 8))


POOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "max": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "max, stride 1 where none is said": ("MaxPool", {"kernel_shape": [3, 2]}),
    "max with pads": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "max to the ceiling": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "max, same upper": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "mean": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "mean of own values": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "mean with the padding": (
        "AveragePool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    "mean of all": ("GlobalAveragePool", {}),
}


@pytest.mark.parametrize("case", POOLS)
def test_every_kind_of_pooling_means_what_onnx_says(tmp_path, case):
    kind, settings = POOLS[case]
    nodes = [node("Conv", ["x", "w"], ["h"]), node(kind, ["h"], ["y"], **settings)]
    path = saved(tmp_path / "m.onnx", graph(nodes, {"w": numbers(3, 1, 2, 2)}, ("N", 1, 8, 10), dims=4))

    check(path, (1, 8, 10))


ELEMENTWISE: dict[str, Callable[[], tuple[Nodes, Constants, str]]] = {
    "silu": lambda: ([node("Sigmoid", ["h"], ["s"]), node("Mul", ["h", "s"], ["z"])], {}, "silu"),
    "gelu of erf": lambda: (
        [
            node("Div", ["h", "root"], ["d"]),
            node("Erf", ["d"], ["e"]),
            node("Add", ["e", "one"], ["p"]),
            node("Mul", ["h", "p"], ["m"]),
            node("Mul", ["m", "half"], ["z"]),
        ],
        {"root": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)},
        "gelu",
    ),
    "gelu of erf, the other way round": lambda: (
        [
            node("Mul", ["h", "half"], ["m"]),
            node("Mul", ["root", "h"], ["d"]),
            node("Erf", ["d"], ["e"]),
            node("Add", ["one", "e"], ["p"]),
            node("Mul", ["p", "m"], ["z"]),
        ],
        {"root": np.float32(np.sqrt(0.5)), "one": np.float32(1), "half": np.float32(0.5)},
        "gelu",
    ),
    "gelu of tanh": lambda: (
        [
            node("Pow", ["h", "three"], ["c"]),
            node("Mul", ["c", "k"], ["d"]),
            node("Add", ["h", "d"], ["e"]),
            node("Mul", ["e", "root"], ["f"]),
            node("Tanh", ["f"], ["t"]),
            node("Add", ["t", "one"], ["p"]),
            node("Mul", ["h", "half"], ["m"]),
            node("Mul", ["m", "p"], ["z"]),
        ],
        {
            "three": np.float32(3), "k": np.float32(0.044715), "root": np.float32(np.sqrt(2 / np.pi)),
            "one": np.float32(1), "half": np.float32(0.5),
        },
        "gelu_tanh",
    ),
    "gelu, tanh form": lambda: ([node("Gelu", ["h"], ["z"], approximate="tanh")], {}, "gelu_tanh"),
    "hard swish": lambda: ([node("HardSwish", ["h"], ["z"])], {}, "hard_swish"),
    "hard swish of a hard sigmoid": lambda: (
        [node("HardSigmoid", ["h"], ["s"], alpha=1 / 6, beta=0.5), node("Mul", ["h", "s"], ["z"])],
        {},
        "hard_swish",
    ),
    "relu6": lambda: (
        [node("Clip", ["h", "low", "high"], ["z"])],
        {"low": np.float32(0), "high": np.float32(6)},
        "relu6",
    ),
    "leaky": lambda: ([node("LeakyRelu", ["h"], ["z"], alpha=0.2)], {}, "leaky_relu(0.2)"),
    "one slope": lambda: (
        [node("PRelu", ["h", "a"], ["z"])],
        {"a": np.full((1, 1, 1), 0.3, np.float32)},
        "leaky_relu(0.3)",
    ),
    "elu": lambda: ([node("Elu", ["h"], ["z"], alpha=0.5)], {}, "elu(0.5)"),
    "max with 0": lambda: ([node("Max", ["h", "zero"], ["z"])], {"zero": np.float32(0)}, "relu"),
}  # fmt: skip


@pytest.mark.parametrize("case", ELEMENTWISE)
def test_an_activation_is_known_in_whatever_operators_it_is_spelt(tmp_path, case):
    middle, constants, name = ELEMENTWISE[case]()
    nodes = [node("Conv", ["x", "w", "b"], ["h"]), *middle, node("Conv", ["z", "v"], ["y"])]
    weights = {"w": 3 * numbers(4, 2, 2, 2), "b": numbers(4), "v": numbers(3, 4, 1, 1)}
    path = saved(tmp_path / "m.onnx", graph(nodes, {**weights, **constants}, ("N", 2, 4, 3), dims=4))

    model = check(path, (2, 4, 3))

    assert [layer.kind for layer in model.layers] == ["conv2d", "conv2d"]
    assert model.activations == (name, "identity")


@pytest.mark.parametrize(
    ("middle", "constants"),
    [
        ([node("Clip", ["h", "low", "high"], ["z"])], {"low": np.float32(-1), "high": np.float32(2)}),
        ([node("Clip", ["h", "low"], ["z"])], {"low": np.float32(-1)}),
        ([node("Min", ["h", "low"], ["z"])], {"low": np.float32(0.5)}),
        ([node("HardSigmoid", ["h"], ["z"])], {}),
        ([node("Selu", ["h"], ["z"])], {}),
        ([node("Neg", ["h"], ["n"]), node("Sigmoid", ["n"], ["z"])], {}),
        (
            [node("Mul", ["h", "two"], ["n"]), node("Tanh", ["n"], ["t"]), node("Sub", ["two", "t"], ["z"])],
            {"two": np.float32(2)},
        ),
    ],
)  # fmt: skip
def test_an_activation_with_a_scale_around_it_is_that_activation_and_the_scale(tmp_path, middle, constants):
    nodes = [node("Gemm", ["x", "w", "b"], ["h"]), *middle, node("MatMul", ["z", "v"], ["y"])]
    weights = {"w": 2 * numbers(5, 7), "b": numbers(7), "v": numbers(7, 3)}
    path = saved(tmp_path / "m.onnx", graph(nodes, {**weights, **constants}, ("N", 5)))

    model = check(path, (5,))

    assert [layer.kind for layer in model.layers] == ["dense", "dense"]


def trained(size: int) -> Constants:
    return {
        "gamma": numbers(size), "beta": numbers(size, 1).reshape(-1), "mean": numbers(size, 1, 1).reshape(-1),
        "var": np.abs(numbers(size, 2)[:, 0]) + 0.1,
    }  # fmt: skip


def normalised(before: str, after: str) -> Any:
    return node("BatchNormalization", [before, "gamma", "beta", "mean", "var"], [after], epsilon=1e-3)


def test_normalisation_goes_into_the_convolution_before_it(tmp_path):
    nodes = [
        node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1]),
        normalised("h", "n"),
        node("Relu", ["n"], ["r"]),
        node("Conv", ["r", "v"], ["y"]),
    ]
    constants = {"w": numbers(4, 1, 3, 3), "v": numbers(2, 4, 2, 2), **trained(4)}
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 5, 5), dims=4))

    assert [layer.kind for layer in check(path, (1, 5, 5)).layers] == ["conv2d", "conv2d"]


@pytest.mark.parametrize(("pads", "kinds"), [(0, ["conv2d"]), (1, ["batch_norm", "conv2d"])])
def test_normalisation_goes_into_the_convolution_after_it_only_where_no_zeros_come_between(
    tmp_path, pads, kinds
):
    nodes = [normalised("x", "n"), node("Conv", ["n", "w", "b"], ["y"], pads=[pads] * 4, group=2)]
    constants = {"w": numbers(4, 2, 3, 3), "b": numbers(4), **trained(4)}
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 4, 5, 5), dims=4))

    assert [layer.kind for layer in check(path, (4, 5, 5)).layers] == kinds


def test_a_pad_before_a_convolution_is_its_padding(tmp_path):
    pads = np.array([0, 0, 1, 2, 0, 0, 0, 1])
    nodes = [node("Pad", ["x", "p"], ["h"]), node("Conv", ["h", "w"], ["y"], pads=[1, 0, 0, 0])]
    path = saved(
        tmp_path / "m.onnx", graph(nodes, {"p": pads, "w": numbers(2, 1, 3, 3)}, ("N", 1, 5, 5), dims=4)
    )
    model = check(path, (1, 5, 5))
    assert model.layers[0].padding == (2, 2, 0, 1)


@pytest.mark.parametrize("axes", [[2, 3], [-1, 2], [3]])
def test_a_pad_may_name_its_axes(tmp_path, axes):
    pads = np.arange(2 * len(axes)) % 3
    constants = {"p": pads, "zero": np.float32(0), "axes": np.array(axes), "w": numbers(2, 1, 3, 3)}
    nodes = [node("Pad", ["x", "p", "zero", "axes"], ["h"]), node("Conv", ["h", "w"], ["y"])]
    check(saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 5, 5), dims=4)), (1, 5, 5))


@pytest.mark.parametrize(
    ("pads", "axes"), [([1, 1], [2, 3]), ([1, 1], [4]), ([1, 1], [-5]), ([1, 1, 1, 1], [2, -2])]
)
def test_a_pad_along_axes_that_are_none_is_refused(tmp_path, pads, axes):
    constants = {"p": np.array(pads), "zero": np.float32(0), "axes": np.array(axes), "w": numbers(2, 1, 3, 3)}
    nodes = [node("Pad", ["x", "p", "zero", "axes"], ["h"]), node("Conv", ["h", "w"], ["y"])]
    made = helper.make_model(graph(nodes, constants, ("N", 1, 5, 5), dims=4))
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=r"Pad .*along the axes.*--with onnxruntime"):
        load(path)


@pytest.mark.parametrize(("start", "end", "step"), [(-1, -(2**63), -1), (3, 0, -2), (2**62, -(2**31), -1)])
def test_pads_may_be_turned_round_as_older_exporters_do(tmp_path, start, end, step):
    """Constants are cut as NumPy does, backwards too."""
    forwards = np.array([1, 2, 0, 0])
    kept = forwards[start:end:step]
    constants = {
        "c": forwards, "s": np.array([start]), "e": np.array([end]), "zero": np.array([0]),
        "step": np.array([step]), "rest": np.zeros(8 - len(kept), np.int64), "w": numbers(2, 1, 3, 3),
    }  # fmt: skip
    nodes = [
        node("Slice", ["c", "s", "e", "zero", "step"], ["some"]),
        node("Concat", ["rest", "some"], ["all"], axis=0),
        node("Pad", ["x", "all"], ["h"]),
        node("Conv", ["h", "w"], ["y"]),
    ]
    check(saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 5, 5), dims=4)), (1, 5, 5))


def test_half_precision_inside_is_noted(tmp_path):
    nodes = [
        node("Cast", ["x"], ["h"], to=10),
        node("Cast", ["h"], ["f"], to=1),
        node("Flatten", ["f"], ["g"]),
        node("MatMul", ["g", "w"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", graph(nodes, {"w": numbers(4, 3)}, ("N", 4)))
    assert any("half precision" in note for note in load(path).notes)


@pytest.mark.parametrize(
    ("said", "mode", "value", "axes", "pads"),
    [
        ("in mode 'edge' and value 0, expected mode constant and value 0", "edge", 0, [2, 3], [1, 1, 1, 1]),
        ("in mode 'constant' and another value than 0", "constant", 1, [2, 3], [1, 1, 1, 1]),
        ("in mode 'reflect' and value 0", "reflect", [], [2, 3], [1, 1, 1, 1]),
        ("expected eight numbers, zeros for rows and channels", "constant", [], [1], [1, 1]),
    ],
)  # fmt: skip
def test_a_pad_that_is_not_read_is_told_by_what_it_does(tmp_path, said, mode, value, axes, pads):
    nodes = [
        node("Pad", ["x", "p", "value", "axes"], ["h"], mode=mode),
        node("Conv", ["h", "w"], ["y"]),
    ]
    constants = {
        "p": np.array(pads), "value": np.array(value, np.float32), "axes": np.array(axes), "w": numbers(2, 1, 3, 3),
    }  # fmt: skip
    path = tmp_path / "m.onnx"
    made = graph(nodes, constants, ("N", 1, 5, 5), dims=4)
    path.write_bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())

    with pytest.raises(ModelError, match=rf"Pad \(node 'h'\): .*{said}"):
        load(path)


def test_the_pads_that_the_older_exporter_of_pytorch_turns_around_are_read(tmp_path):
    """nn.ZeroPad2d((1, 2, 3, 0)): last axis first, made to ONNX's order by a Slice that goes backwards."""
    nodes = [
        node("ConstantOfShape", ["four"], ["none"], value=helper.make_tensor("value", 7, [1], [0])),
        node("Concat", ["sides", "none"], ["all"], axis=0),
        node("Reshape", ["all", "pairs"], ["two"]),
        node("Slice", ["two", "last", "first", "axis", "last"], ["turned"]),
        node("Transpose", ["turned"], ["ends"], perm=[1, 0]),
        node("Reshape", ["ends", "last"], ["flat"]),
        node("Cast", ["flat"], ["p"], to=7),
        node("Pad", ["x", "p", "zero"], ["h"]),
        node("Conv", ["h", "w"], ["y"]),
    ]
    constants = {
        "four": np.array([4]), "sides": np.array([1, 2, 3, 0]), "pairs": np.array([-1, 2]), "axis": np.array([0]),
        "last": np.array([-1]), "first": np.array([1 - 2**63]), "zero": np.float32(0), "w": numbers(2, 1, 3, 3),
    }  # fmt: skip
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 5, 5), dims=4), opset=17)

    assert check(path, (1, 5, 5)).layers[0].padding == (3, 1, 0, 2)


def residual_nodes(project: bool) -> tuple[Nodes, Constants]:
    """Two branches from one place: two convolutions, and the rows themselves or a 1 x 1 convolution."""
    nodes = [
        node("Conv", ["x", "s"], ["h0"], pads=[1, 1, 1, 1]),
        node("Relu", ["h0"], ["h"]),
        node("Conv", ["h", "a", "c"], ["a0"], pads=[1, 1, 1, 1], strides=[2, 2] if project else [1, 1]),
        node("Relu", ["a0"], ["a1"]),
        node("Conv", ["a1", "b"], ["a2"], pads=[1, 1, 1, 1]),
        node("Conv", ["h", "p"], ["q"], strides=[2, 2]) if project else node("Identity", ["h"], ["q"]),
        node("Add", ["q", "a2"], ["t"]),
        node("Relu", ["t"], ["u"]),
        node("GlobalAveragePool", ["u"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "d", "e"], ["y"], transB=1),
    ]
    constants = {
        "s": numbers(4, 1, 3, 3), "a": numbers(4, 4, 3, 3), "c": numbers(4), "b": 2 * numbers(4, 4, 3, 3),
        "d": numbers(3, 4), "e": numbers(3),
    }  # fmt: skip
    return nodes, constants | ({"p": numbers(4, 4, 1, 1)} if project else {})


@pytest.mark.parametrize("project", [False, True])
def test_two_branches_that_are_added_are_a_residual_layer(tmp_path, project):
    nodes, constants = residual_nodes(project)
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 6, 6)))

    model = check(path, (1, 6, 6), atol=2e-4)

    assert [layer.kind for layer in model.layers] == ["conv2d", "residual", "global_avg_pool2d", "dense"]
    assert [len(model.layers[1].body), len(model.layers[1].shortcut)] == [2, int(project)]
    assert model.layers[1].activation == "relu"


def test_a_difference_of_branches_is_a_sum_with_a_scale(tmp_path):
    nodes = [
        node("MatMul", ["x", "a"], ["h"]),
        node("Tanh", ["h"], ["t"]),
        node("Sub", ["t", "x"], ["s"]),
        node("MatMul", ["s", "d"], ["y"]),
    ]
    path = saved(tmp_path / "m.onnx", graph(nodes, {"a": numbers(4, 4), "d": numbers(4, 3)}, ("N", 4)))

    check(path, (4,))


def test_branches_that_part_and_meet_again_and_again_end_in_an_error_and_not_in_an_explosion(tmp_path):
    """Each value holds both of the last two: 40 of them would be 2**40 steps."""
    nodes = [node("MatMul", ["x", "a"], ["p0"]), node("Tanh", ["x"], ["q0"])]
    for k in range(40):
        nodes += [
            node("Tanh", [f"p{k}"], [f"t{k}"]),
            node("MatMul", [f"q{k}", "a"], [f"u{k}"]),
            node("Add", [f"u{k}", f"t{k}"], [f"p{k + 1}"]),
            node("Sub", [f"u{k}", f"t{k}"], [f"q{k + 1}"]),
        ]
    nodes.append(node("MatMul", ["p40", "d"], ["y"]))
    path = saved(tmp_path / "m.onnx", graph(nodes, {"a": numbers(4, 4), "d": numbers(4, 3)}, ("N", 4)))

    with pytest.raises(ModelError, match="again and again"):
        load(path)


def test_sums_in_sums_in_sums_end_in_an_error_and_not_in_a_recursion(tmp_path):
    nodes = [node("MatMul", ["x", "a"], ["h0"])]
    for k in range(2000):
        nodes += [node("Tanh", [f"h{k}"], [f"t{k}"]), node("Add", [f"t{k}", "x"], [f"h{k + 1}"])]
    nodes.append(node("MatMul", ["h2000", "d"], ["y"]))
    path = saved(tmp_path / "m.onnx", graph(nodes, {"a": numbers(4, 4), "d": numbers(4, 3)}, ("N", 4)))

    with pytest.raises(ModelError, match="32 sums in sums"):
        load(path)


def test_the_zoos_form_of_a_network_is_read_biases_apart_and_weights_that_are_reshaped(tmp_path):
    """As mnist-12 of the ONNX model zoo: SAME_UPPER, a bias (C, 1, 1) added, one row a run, (16, 4, 4, 10) weights."""
    nodes = [
        node("Div", ["x", "k"], ["d"]),
        node("Conv", ["d", "a"], ["c1"], auto_pad="SAME_UPPER", kernel_shape=[5, 5]),
        node("Add", ["c1", "b"], ["s1"]),
        node("Relu", ["s1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "c"], ["c2"], auto_pad="SAME_UPPER", kernel_shape=[5, 5]),
        node("Add", ["c2", "e"], ["s2"]),
        node("Relu", ["s2"], ["r2"]),
        node("MaxPool", ["r2"], ["p2"], kernel_shape=[3, 3], strides=[3, 3]),
        node("Reshape", ["p2", "rows"], ["flat"]),
        node("Reshape", ["f", "columns"], ["g"]),
        node("MatMul", ["flat", "g"], ["m"]),
        node("Add", ["m", "h"], ["y"]),
    ]
    constants = {
        "k": np.float32(255), "a": numbers(8, 1, 5, 5), "b": numbers(8, 1, 1), "c": numbers(16, 8, 5, 5),
        "e": numbers(16, 1, 1), "f": numbers(16, 4, 4, 10), "h": numbers(1, 10),
        "rows": np.array([1, 256]), "columns": np.array([256, 10]),
    }  # fmt: skip
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, (1, 1, 28, 28)), opset=12)

    model = load(path)

    assert model.sizes == (784, 6272, 1568, 3136, 256, 10)
    assert any("--scale 1" in note for note in model.notes)
    x = 255 * np.abs(numbers(1, 1, 28, 28))
    np.testing.assert_allclose(logits(model, x), reference(path, x), rtol=1e-4, atol=1e-3)


def test_a_row_shape_that_the_graph_computes_is_followed(tmp_path):
    """x.view(x.size(0), -1), as PyTorch writes it: Shape, Gather, Unsqueeze, Concat, Reshape."""
    nodes = [
        node("Conv", ["x", "w"], ["h"]),
        node("Shape", ["h"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["m"]),
        node("Concat", ["m", "rest"], ["t"], axis=0),
        node("Reshape", ["h", "t"], ["f"]),
        node("MatMul", ["f", "d"], ["y"]),
    ]
    constants = {
        "w": numbers(2, 1, 2, 2), "zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]),
        "d": numbers(32, 3),
    }  # fmt: skip
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 5, 5)))

    assert [layer.kind for layer in check(path, (1, 5, 5)).layers] == ["conv2d", "dense"]


@pytest.mark.parametrize("opset", [7, 10, 11, 12, 13, 17, 18, 20])
def test_older_operators_have_attributes_where_newer_ones_have_inputs(tmp_path, opset):
    clip = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    nodes = [
        node("Pad", ["x"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1]) if opset < 11 else node("Pad", ["x", "pads"], ["p"]),
        node("Conv", ["p", "w"], ["h"]),
        node("Clip", ["h"] if opset < 11 else ["h", "low", "high"], ["c"], **clip),
        node("Dropout", ["c"], ["d"]),
        node("ReduceMean", ["d"], ["m"], axes=[2, 3]) if opset < 18 else node("ReduceMean", ["d", "two"], ["m"]),
        node("Squeeze", ["m"], ["f"], axes=[2, 3]) if opset < 13 else node("Squeeze", ["m", "two"], ["f"]),
        node("Gemm", ["f", "v", "b"], ["z"]),
        node("Softmax", ["z"], ["y"]),
    ]  # fmt: skip
    constants = {"w": numbers(4, 1, 3, 3), "v": numbers(4, 3), "b": numbers(3)}
    if opset >= 11:
        constants |= {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "low": np.float32(0), "high": np.float32(6)}
    if opset >= 13:
        constants |= {"two": np.array([2, 3])}
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 1, 6, 6)), opset=opset)

    model = load(path)

    assert [layer.kind for layer in model.layers] == ["conv2d", "global_avg_pool2d", "dense"]
    x = numbers(3, 1, 6, 6)
    shares = np.exp(logits(model, x))
    np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), reference(path, x), atol=1e-5)


@pytest.mark.parametrize("spelt", [False, True])
def test_layer_normalisation_is_known_as_an_operator_and_spelt_out(tmp_path, spelt):
    spelling = [
        node("ReduceMean", ["h"], ["m"], axes=[-1]),
        node("Sub", ["h", "m"], ["c"]),
        node("Pow", ["c", "two"], ["q"]),
        node("ReduceMean", ["q"], ["v"], axes=[-1]),
        node("Add", ["v", "eps"], ["e"]),
        node("Sqrt", ["e"], ["r"]),
        node("Div", ["c", "r"], ["o"]),
        node("Mul", ["o", "g"], ["k"]),
        node("Add", ["k", "i"], ["z"]),
    ]
    middle = spelling if spelt else [node("LayerNormalization", ["h", "g", "i"], ["z"], epsilon=1e-3)]
    nodes = [node("MatMul", ["x", "w"], ["h"]), *middle, node("MatMul", ["z", "d"], ["y"])]
    constants = {"w": numbers(5, 6), "g": numbers(6), "i": numbers(6, 1).reshape(-1), "d": numbers(6, 3)}
    if spelt:
        constants |= {"two": np.float32(2), "eps": np.float32(1e-3)}
    path = saved(tmp_path / "m.onnx", graph(nodes, constants, ("N", 5)), opset=17)

    model = check(path, (5,))

    assert [layer.kind for layer in model.layers] == ["dense", "layer_norm", "dense"]
    assert model.layers[1].eps == 1e-3


REFUSED: dict[str, tuple[str, Nodes, Constants]] = {
    "a gate": (
        "Mul .node 'y'.: a product of two values that were computed apart",
        [node("Conv", ["x", "w"], ["a"]), node("Conv", ["x", "v"], ["b"]), node("Mul", ["a", "b"], ["y"])],
        {"w": numbers(2, 2, 1, 1), "v": numbers(2, 2, 1, 1)},
    ),
    "concatenated branches": (
        "Concat .node 'y'.: it joins values",
        [node("Conv", ["x", "w"], ["a"]), node("Concat", ["a", "x"], ["y"], axis=1)],
        {"w": numbers(2, 2, 1, 1)},
    ),
    "a convolution of too many channels": (
        r"Conv .node 'y'.: a kernel of shape \(2, 3, 1, 1\) in 1 groups on 2 channels",
        [node("Conv", ["x", "w"], ["y"])],
        {"w": numbers(2, 3, 1, 1)},
    ),
    "a kernel larger than the image": (
        "Conv .node 'y'.: a kernel 7 x 7 on images 5 x 4",
        [node("Conv", ["x", "w"], ["y"])],
        {"w": numbers(2, 2, 7, 7)},
    ),
    "one dimension": (
        "Conv .node 'y'.: a weight of shape",
        [node("Conv", ["x", "w"], ["y"])],
        {"w": numbers(2, 2, 3)},
    ),
    "channels last": (
        "Transpose .node 'h'.: .*channels first",
        [node("Transpose", ["x"], ["h"], perm=[0, 2, 3, 1]), node("Conv", ["h", "w"], ["y"])],
        {"w": numbers(2, 5, 1, 1)},
    ),
    "an operator that is not read": (
        "Resize .node 'y'.: the operator 'Resize' is not read. Read are: Conv, .*export it again",
        [node("Resize", ["x", "", "w"], ["y"])],
        {"w": numbers(4)},
    ),
    "a formula that is no activation": (
        r"computes 1 x x of each value x, which is none of the activations|computes x x of each value",
        [node("Conv", ["x", "w"], ["h"]), node("Mul", ["h", "h"], ["s"]), node("Conv", ["s", "w"], ["y"])],
        {"w": numbers(2, 2, 1, 1)},
    ),
    "softmax over channels of an image": (
        "Softmax .node 'y'.: at axis",
        [node("Conv", ["x", "w"], ["h"]), node("Softmax", ["h"], ["y"], axis=1)],
        {"w": numbers(2, 2, 1, 1)},
    ),
    "two outputs that differ": (
        "the graph has the outputs y, z, which differ",
        [node("Conv", ["x", "w"], ["y"]), node("Conv", ["x", "v"], ["z"])],
        {"w": numbers(2, 2, 1, 1), "v": numbers(2, 2, 1, 1)},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_covered_is_told_by_operator_node_and_cure(tmp_path, case):
    said, nodes, constants = REFUSED[case]
    made = graph(nodes, constants, ("N", 2, 5, 4), dims=4)
    if "two outputs" in case:
        made.output.append(helper.make_tensor_value_info("z", 1, ("N", "K", "H", "W")))
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())

    with pytest.raises(ModelError, match=said):
        load(path)
