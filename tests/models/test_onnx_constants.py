"""Constants in ONNX graphs mean what ONNX says, or the file is refused: casts, double names, attributes, lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hostile_models import numbers, written
from onnx_files import plain_logits, reference, saved

from streameval.errors import ModelError
from streameval.models import load

onnx = pytest.importorskip("onnx")
helper: Any = onnx.helper
T = onnx.TensorProto


def graph(nodes: list[Any], tensors: list[Any], dims: list[Any] | None = None) -> Any:
    ends = [
        helper.make_tensor_value_info("x", T.FLOAT, dims or ["N", 4]),
        helper.make_tensor_value_info("y", T.FLOAT, ["N", 3]),
    ]
    return helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)


def constant(array: np.ndarray, name: str = "A") -> Any:
    return onnx.numpy_helper.from_array(array, name)


def matmul(weight: str = "A") -> Any:
    return helper.make_node("MatMul", ["x", weight], ["y"])


CASTS = [
    [T.INT32],
    [T.BOOL],
    [T.FLOAT16],
    [T.DOUBLE],
    [T.INT64, T.INT8],
    [T.FLOAT16, T.INT32],
    [T.INT8, T.BOOL],
    [T.DOUBLE, T.UINT8, T.INT64],
]


@pytest.mark.parametrize("casts", CASTS, ids=str)
def test_weights_behind_casts_are_those_that_onnx_computes(tmp_path, casts):
    weights = np.abs(3 * numbers(4, 3))
    names = ["A", *(f"c{number}" for number in range(len(casts) + 1))]
    nodes = [
        helper.make_node("Cast", [before], [after], to=to)
        for before, after, to in zip(names, names[1:], [*casts, T.FLOAT], strict=False)
    ]
    path = saved(tmp_path / "m.onnx", graph([*nodes, matmul(names[-1])], [constant(weights)]))

    model = load(path)

    x = numbers(6, 4)
    assert not np.array_equal(model.layers[0].weight, weights) or casts == [T.DOUBLE]
    np.testing.assert_allclose(plain_logits(model, x), reference(path, x), rtol=1e-6, atol=1e-6)


def test_onnxruntime_gives_what_is_read(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra [bench]")
    nodes = [
        helper.make_node("Cast", ["A"], ["i"], to=T.INT32),
        helper.make_node("Transpose", ["i"], ["t"], perm=[1, 0]),
        helper.make_node("Cast", ["t"], ["f"], to=T.FLOAT),
        matmul("f"),
    ]
    path = saved(tmp_path / "m.onnx", graph(nodes, [constant(3 * numbers(3, 4))]))

    x = numbers(6, 4)
    expected = runtime.InferenceSession(path).run(None, {"x": x})[0]
    np.testing.assert_allclose(plain_logits(load(path), x), expected, rtol=1e-5, atol=1e-6)


SLICES = [
    {"starts": [-1], "ends": [-(2**63)], "axes": [0], "steps": [-1]},
    {"starts": [-1], "ends": [1 - 2**63], "axes": [-2], "steps": [-1]},
    {"starts": [2**31 - 1], "ends": [-(2**31)], "axes": [0], "steps": [-1]},
    {"starts": [0, 2], "ends": [2**31 - 1, -4], "axes": [0, 1], "steps": [1, -1]},
    {"starts": [2, -4], "ends": [-5, 2**63 - 1], "axes": [1, 0], "steps": [-1, 1]},
    {"starts": [7], "ends": [0], "axes": [0], "steps": [-2]},
]


@pytest.mark.parametrize("slices", SLICES, ids=str)
def test_weights_behind_a_slice_that_goes_backwards_are_those_that_onnx_computes(tmp_path, slices):
    weights = numbers(8, 3) if slices["starts"] == [7] else numbers(4, 3)
    places = [constant(np.array(value, np.int64), name) for name, value in slices.items()]
    nodes = [helper.make_node("Slice", ["A", *slices], ["B"]), matmul("B")]
    path = saved(tmp_path / "m.onnx", graph(nodes, [constant(weights), *places]))

    model = load(path)

    x = numbers(6, 4)
    assert model.layers[0].weight.tolist() != weights.tolist()
    np.testing.assert_allclose(plain_logits(model, x), reference(path, x), rtol=1e-6, atol=1e-6)


def test_a_slice_backwards_from_before_the_first_number_begins_with_it_as_onnx_says(tmp_path):
    """Where NumPy, and the reference evaluator with it, has nothing; ONNX Runtime does as ONNX says."""
    slices = {"starts": [-9], "ends": [-(2**31)], "axes": [0], "steps": [-1]}
    places = [constant(np.array(value, np.int64), name) for name, value in slices.items()]
    nodes = [helper.make_node("Slice", ["A", *slices], ["B"]), matmul("B")]
    path = saved(tmp_path / "m.onnx", graph(nodes, [constant(numbers(4, 3)), *places], ["N", 1]))

    np.testing.assert_array_equal(load(path).layers[0].weight, numbers(4, 3)[:1])


@pytest.mark.parametrize(
    ("said", "starts", "ends", "steps"),
    [
        ("a step of 0", [0], [4], [0]),
        ("numbers of axes or steps than of starts", [0], [4], [1, 1]),
        ("backwards to 2147483647", [-1], [2**31 - 1], [-1]),
        ("backwards to 9223372036854775807", [-1], [2**63 - 1], [-1]),
    ],
)
def test_a_slice_whose_meaning_is_open_is_refused(tmp_path, said, starts, ends, steps):
    slices = {"starts": starts, "ends": ends, "axes": [0], "steps": steps}
    places = [constant(np.array(value, np.int64), name) for name, value in slices.items()]
    nodes = [helper.make_node("Slice", ["A", *slices], ["B"]), matmul("B")]
    content = helper.make_model(graph(nodes, [A, *places])).SerializeToString()

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "m.onnx", content))


def test_a_slice_of_a_constant_by_the_number_of_rows_is_refused(tmp_path):
    """It would be another network for every number of rows."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "first"], ["n"], axis=0),
        helper.make_node("Slice", ["A", "last", "n", "first", "last"], ["B"]),
        matmul("B"),
    ]
    places = [constant(np.array([0]), "first"), constant(np.array([-1]), "last")]
    content = helper.make_model(graph(nodes, [A, *places])).SerializeToString()

    with pytest.raises(ModelError, match=r"Slice \(node 'B'\): of as many numbers as there are rows"):
        load(written(tmp_path, "m.onnx", content))


def lying(**fields: Any) -> Any:
    return T(**{"name": "A", "data_type": 1, "dims": [4, 3], "raw_data": bytes(48), **fields})


def with_attribute(kind: str, inputs: list[str], **fields: Any) -> Any:
    node = helper.make_node(kind, inputs, ["y"])
    node.attribute.add(**fields)
    return node


A = constant(numbers(4, 3))
REFUSED: dict[str, tuple[str, list[Any], list[Any]]] = {
    "float to int32 that cannot hold it": (
        "cannot hold",
        [helper.make_node("Cast", ["A"], ["c"], to=T.INT32), matmul("c")],
        [constant(np.full((4, 3), 3e9, np.float32))],
    ),
    "NaN to an integer": (
        "cannot hold",
        [helper.make_node("Cast", ["A"], ["c"], to=T.INT8), matmul("c")],
        [constant(np.full((4, 3), np.nan, np.float32))],
    ),
    "cast to text": ("ONNX type 8", [helper.make_node("Cast", ["A"], ["c"], to=T.STRING), matmul("c")], [A]),
    "cast to nothing": ("ONNX type 0", [helper.make_node("Cast", ["A"], ["c"]), matmul("c")], [A]),
    "two initializers of one name": ("two values are named 'A'", [matmul()], [A, constant(numbers(4, 3))]),
    "an initializer without a name": ("no name", [matmul()], [A, constant(numbers(4, 3), "")]),
    "a node that gives the input's name": (
        "two values are named 'x'",
        [helper.make_node("Identity", ["A"], ["x"]), matmul()],
        [A],
    ),
    "a node that gives a constant's name": (
        "two values are named 'A'",
        [helper.make_node("Relu", ["x"], ["A"]), matmul()],
        [A],
    ),
    "alpha that is an integer": (
        "'alpha' is of ONNX type 2",
        [with_attribute("Gemm", ["x", "A"], name="alpha", type=2, i=1)],
        [A],
    ),
    "alpha without a type": (
        "'alpha' is of ONNX type 0",
        [with_attribute("Gemm", ["x", "A"], name="alpha", f=2)],
        [A],
    ),
    "an attribute of another operator": (
        "'axis', which that operator",
        [with_attribute("Gemm", ["x", "A"], name="axis", type=2, i=1)],
        [A],
    ),
    "an attribute that refers to a function's": (
        "'alpha' is of",
        [with_attribute("Gemm", ["x", "A"], name="alpha", type=1, f=1, ref_attr_name="z")],
        [A],
    ),
    "an attribute twice": (
        "there twice",
        [
            helper.make_node("Constant", [], ["k"], value_float=1.0),
            helper.make_node("Mul", ["x", "k"], ["h"]),
            helper.make_node("Gemm", ["h", "A"], ["y"]),
        ],
        [A],
    ),
    "a permutation of three": (
        "of 2 dimensions by",
        [helper.make_node("Transpose", ["A"], ["t"], perm=[0, 2, 1]), matmul("t")],
        [A],
    ),
    "raw bytes that do not fill the shape": ("holds 47 bytes", [matmul()], [lying(raw_data=bytes(47))]),
    "more bytes than the shape": ("holds 52 bytes", [matmul()], [lying(raw_data=bytes(52))]),
    "numbers in two fields": ("alone", [matmul()], [lying(float_data=[1.0] * 12)]),
    "numbers in another type's field": (
        "alone",
        [matmul()],
        [lying(raw_data=b"", double_data=[1.0] * 12)],
    ),
    "a negative size": ("shape", [matmul()], [lying(dims=[-4, -3])]),
    "a float16 of more than 16 bits": (
        "cannot hold",
        [matmul()],
        [lying(data_type=10, raw_data=b"", int32_data=[1 << 16] * 12)],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_at_its_word_is_refused(tmp_path, case):
    said, nodes, tensors = REFUSED[case]
    made = graph(nodes, tensors)
    if "twice" in said:
        made.node[-1].attribute.extend([helper.make_attribute("alpha", value) for value in (1.0, 2.0)])
    content = helper.make_model(made).SerializeToString()

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "m.onnx", content))


def test_an_operator_set_in_which_dropout_trained_is_refused(tmp_path):
    model = helper.make_model(graph([matmul()], [A]), opset_imports=[helper.make_opsetid("", 6)])
    with pytest.raises(ModelError, match=r"operator sets \[6\].*version_converter"):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


def test_the_same_operator_set_may_be_named_twice_and_no_two(tmp_path):
    """As skl2onnx does."""
    for versions, right in (([22, 22], True), ([17, 22], False)):
        sets = [helper.make_opsetid(domain, n) for domain, n in zip(("", "ai.onnx"), versions, strict=True)]
        for imports in (
            sets,
            [helper.make_opsetid("ai.onnx.ml", 1), *(helper.make_opsetid("", n) for n in versions)],
        ):
            model = helper.make_model(graph([matmul()], [A]), opset_imports=imports)
            path = written(tmp_path, "m.onnx", model.SerializeToString())
            if right:
                assert load(path).outputs
                continue
            with pytest.raises(ModelError, match=r"operator sets \[17, 22\], expected one.*opset_import"):
                load(path)


def with_operator_sets(*sets: tuple[str, int]) -> Any:
    """A dense layer and Softmax without an axis, of these operator sets."""
    nodes = [helper.make_node("MatMul", ["x", "A"], ["h"]), helper.make_node("Softmax", ["h"], ["y"])]
    return helper.make_model(graph(nodes, [A]), opset_imports=[helper.make_opsetid(*one) for one in sets])


@pytest.mark.parametrize(
    "sets",
    [
        [("ai.onnx.ml", 1), ("", 22), ("", 22)],  # as skl2onnx 1.20 writes them
        [("", 17), ("ai.onnx", 17)],
        [("", 9)] * 3,
    ],
)
def test_a_version_of_the_operators_that_is_named_twice_is_one(tmp_path, sets):
    path = written(tmp_path, "m.onnx", with_operator_sets(*sets).SerializeToString())

    x = numbers(6, 4)
    shares = np.exp(plain_logits(load(path), x))
    np.testing.assert_allclose(
        shares / shares.sum(axis=1, keepdims=True), reference(path, x), rtol=1e-5, atol=1e-6
    )


def test_two_versions_of_the_operators_are_refused_and_the_cure_that_is_named_works(tmp_path):
    """What convert_version makes of a file that names one twice: the first is converted, the second left."""
    path = written(tmp_path, "m.onnx", with_operator_sets(("", 22), ("", 22)).SerializeToString())
    onnx.save(onnx.version_converter.convert_version(onnx.load(path), 17), path)

    said = r"opset_import\[0\] 17, opset_import\[1\] 22\).*del model.opset_import\[1\]"
    with pytest.raises(ModelError, match=said):
        load(path)
    model = onnx.load(path)
    del model.opset_import[1]
    onnx.save(model, path)
    assert load(path).sizes == (4, 3)


def test_a_file_without_a_version_of_the_operators_is_refused(tmp_path):
    path = written(tmp_path, "m.onnx", with_operator_sets(("ai.onnx.ml", 1)).SerializeToString())
    with pytest.raises(ModelError, match=r"names no version of ONNX's operators.*Export it again"):
        load(path)


@pytest.mark.parametrize("dims", [[1] + [2**62] * 300, [1] + [2**62] * 60_000, [1, -4], [1, 1 << 29]])
def test_dimensions_that_no_row_can_have_are_refused_at_once(tmp_path, dims):
    model = helper.make_model(graph([helper.make_node("Flatten", ["x"], ["f"]), matmul()], [A], dims))
    content = model.SerializeToString()
    with pytest.raises(ModelError, match="dimensions, none below 0") as caught:
        load(written(tmp_path, "m.onnx", content))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("bomb", [b"\x0a\x00", b"\x2a\x00"], ids=["nodes", "tensors"])
def test_more_empty_messages_than_any_network_has_are_counted_before_one_is_made(tmp_path, monkeypatch, bomb):
    inside = bomb * 260_000
    size = len(inside)
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    path = written(tmp_path, "m.onnx", b"\x08\x09\x3a" + length + inside)
    monkeypatch.setattr(onnx.ModelProto, "FromString", None)

    with pytest.raises(ModelError, match="250000 fields"):
        load(path)


def test_messages_hundreds_deep_are_refused(tmp_path):
    inside = b""
    for _ in range(400):  # a graph in an attribute of a node of a graph
        for tag in (0x32, 0x2A, 0x0A):
            size = len(inside)
            inside = bytes([tag, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + inside
    size = len(inside)
    content = b"\x3a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + inside
    with pytest.raises(ModelError, match="messages deep"):
        load(written(tmp_path, "m.onnx", content))
