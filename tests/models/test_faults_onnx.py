"""ONNX files that are hostile or hold other networks: a ModelError, no other file touched, nothing large allocated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hostile_models import (
    allocated,
    model_or_model_error,
    mutated,
    mutations,
    numbers,
    quiet,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

from streameval.errors import ModelError
from streameval.models import load


def onnx_model(nodes: list[Any], constants: dict[str, np.ndarray], **extra: Any) -> Any:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    ends = [helper.make_tensor_value_info(name, 1, ("N", size)) for name, size in (("x", 4), ("y", 3))]
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    return helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors), **extra)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    onnx = pytest.importorskip("onnx")
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


A = {"A": numbers(4, 3)}


def refused_graphs() -> list[Any]:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    body = helper.make_graph([], "body", [], [])
    from_h = node("MatMul", "h A", "y")
    cases: list[tuple[str, list[Any], dict[str, np.ndarray]]] = [
        ("'Loop'", [node("Loop", "x", "y", body=body)], {}),
        ("'If'", [node("If", "x", "y", then_branch=body, else_branch=body)], {}),
        ("'Scan'", [node("Scan", "x", "y", body=body, num_scan_inputs=1)], {}),
        ("'ConvTranspose' is not read", [node("ConvTranspose", "x A", "y")], A),
        (r"Conv \(node 'y'\): a weight of shape \(4, 3\)", [node("Conv", "x A", "y")], A),
        (r"erf\(x\) of each value x", [node("MatMul", "x A", "h"), node("Erf", "h", "y")], A),
        ("'evil.Relu'", [node("Relu", "x", "y", domain="evil")], {}),
        (r"Transpose \(node 'y'\): by \[\]", [node("Transpose", "x", "y")], {}),
        (
            "computed apart",
            [node("MatMul", "x A", "h"), node("MatMul", "x B", "i"), node("Mul", "h i", "y")],
            {**A, "B": numbers(4, 3)},
        ),
        (
            "ends with relu",
            [node("MatMul", "x A", "h"), node("Relu", "h", "i"), node("Relu", "h", "y")],
            A,
        ),
        ("'B' is no constant, and is not computed", [node("MatMul", "x B", "y")], A),
        ("output 'y' is nothing that comes of", [node("MatMul", "x A", "h")], A),
        ("ends with relu", [node("MatMul", "x A", "h"), node("Relu", "h", "y")], A),
        ("no layer at all", [node("Identity", "x", "y")], {}),
        (
            "after Softmax",
            [node("MatMul", "x A", "h"), node("Softmax", "h", "i"), node("Relu", "i", "y")],
            A,
        ),
        ("axis 0", [node("MatMul", "x A", "h"), node("Softmax", "h", "y", axis=0)], A),
        ("form 'sharp'", [node("MatMul", "x A", "h"), node("Gelu", "h", "y", approximate="sharp")], A),
        ("slope of shape", [node("PRelu", "x B", "h"), node("MatMul", "h A", "y")], {**A, "B": numbers(4)}),
        ("rows first", [node("Gemm", "x A", "y", transA=1)], A),
        ("expected the rows as its first input", [node("Gemm", "A x", "y")], A),
        ("4 values per row come to a weight", [node("MatMul", "x B", "y")], {"B": numbers(5, 3)}),
        ("3 values per row come to a weight", [node("MatMul", "x A", "h"), node("MatMul", "h A", "y")], A),
        ("3 values per row meet", [node("Gemm", "x A B", "y")], {**A, "B": numbers(5)}),
        ("divided by the values", [node("Div", "B x", "h"), from_h], {**A, "B": numbers(1)}),
        (
            "training mode",
            [node("Dropout", "x r t", "h"), from_h],
            {**A, "r": numbers(1), "t": np.array(True)},
        ),
        (r"Reshape \(node 'h'\): to", [node("Reshape", "x s", "h"), from_h], {**A, "s": np.array([4, -1])}),
        ("at axis 0, expected 1", [node("Flatten", "x", "h", axis=0), from_h], A),
        ("other than floating", [node("Cast", "x", "h", to=6), from_h], A),
        ("of type int64", [node("Mul", "x s", "h"), from_h], {**A, "s": np.array([4])}),
        ("ONNX type 16", [node("MatMul", "x B", "y")], {}),
        (
            "the same numbers again and again",
            [
                node("MatMul", "x B", "x0"),
                *[node("MatMul", f"x{i} C", f"x{i + 1}") for i in range(40)],
                node("MatMul", "x40 D", "y"),
            ],
            {"B": numbers(4, 256), "C": numbers(256, 256), "D": numbers(256, 3)},
        ),
    ]
    return [pytest.param(*case, id=f"{i}-{case[0][:20]}") for i, case in enumerate(cases)]


@pytest.mark.parametrize(("said", "nodes", "constants"), refused_graphs())
def test_a_graph_that_is_no_network_that_is_read_is_refused_by_operator_and_node(
    tmp_path, said, nodes, constants
):
    onnx = pytest.importorskip("onnx")
    model = onnx_model(nodes, constants)
    if "16" in said:
        model.graph.initializer.append(
            onnx.TensorProto(name="B", data_type=16, dims=[4, 3], raw_data=bytes(24))
        )

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


ELSEWHERE = r"If ONNX Runtime takes the file, let it compute: --with onnxruntime \(library: evaluate\("


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("ConvTranspose", "x A", "y")], A),
        ([node("Transpose", "x", "h"), node("MatMul", "h A", "y")], A),
        ([node("Gemm", "x A", "y", transA=1)], A),
        ([node("MatMul", "x A", "h"), node("MatMul", "x A", "i"), node("Mul", "h i", "y")], A),
        ([node("MatMul", "x A", "h"), node("Mul", "h h", "y")], A),
        ([node("MatMul", "x A", "h"), node("Relu", "h", "y")], A),
        ([node("Abs", "A", "B"), node("MatMul", "x B", "y")], A),
        ([node("Tile", "A", "B"), node("Relu", "B", "y")], A),
        ([node("Gemm", "x A", "y", sharp=1)], A),
        (
            [
                node("MatMul", "x B", "x0"),
                *[node("MatMul", f"x{i} C", f"x{i + 1}") for i in range(40)],
                node("MatMul", "x40 D", "y"),
            ],
            {"B": numbers(4, 256), "C": numbers(256, 256), "D": numbers(256, 3)},
        ),
    ],
)
def test_whatever_is_not_read_of_a_graph_it_is_said_once_who_may_compute_it(tmp_path, nodes, constants):
    path = written(tmp_path, "m.onnx", onnx_model(nodes, constants).SerializeToString())

    with pytest.raises(ModelError, match=rf"[^.]\. {ELSEWHERE}") as caught:
        load(path)
    assert str(caught.value).count("onnxruntime ") == 1
    assert type(caught.value) is ModelError


def damaged_graphs() -> dict[str, tuple[list[Any], dict[str, np.ndarray], dict[str, Any]]]:
    """Nodes, constants, and what the tensor `B` claims beside them."""
    onnx = pytest.importorskip("onnx")
    wrong = node("Gemm", "x A", "y")
    wrong.attribute.add(name="alpha", type=2, i=1)
    place = onnx.StringStringEntryProto
    return {
        "fewer numbers than its shape": ([node("MatMul", "x B", "y")], {}, {"raw_data": bytes(47)}),
        "a name that is none's": ([node("MatMul", "x C", "y")], {}, {}),
        "two values of one name": ([node("Relu", "x", "A"), node("MatMul", "x A", "y")], A, {}),
        "an attribute of another type": ([wrong], A, {}),
        "numbers outside the folder": (
            [node("MatMul", "x B", "y")],
            {},
            {"data_location": 1, "external_data": [place(key="location", value="../b")]},
        ),
        "classes alone": ([node("MatMul", "x A", "h"), node("ArgMax", "h", "y", axis=1)], A, {}),
        "training": (
            [node("Dropout", "x r t", "h"), node("MatMul", "h A", "y")],
            {**A, "r": numbers(1), "t": np.array(True)},
            {},
        ),
    }


@pytest.mark.parametrize("case", damaged_graphs())
def test_of_a_file_that_is_of_no_use_elsewhere_nothing_of_the_kind_is_said(tmp_path, case):
    onnx = pytest.importorskip("onnx")
    nodes, constants, claims = damaged_graphs()[case]
    model = onnx_model(nodes, constants)
    model.graph.initializer.append(onnx.TensorProto(name="B", data_type=1, dims=[4, 3], **claims))

    with pytest.raises(ModelError) as caught:
        load(written(tmp_path, "m.onnx", model.SerializeToString()))
    assert "onnxruntime" not in str(caught.value)
    assert type(caught.value) is ModelError


def test_an_onnx_tensor_that_claims_more_than_it_holds_allocates_nothing(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx_model([node("MatMul", "x A", "y")], {})
    model.graph.initializer.append(
        onnx.TensorProto(name="A", data_type=1, dims=[1 << 30, 1 << 30], raw_data=bytes(48))
    )
    path = written(tmp_path, "m.onnx", model.SerializeToString())

    assert allocated(lambda: load(path)) < 4_000_000


def test_onnx_functions_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx_model([node("MatMul", "x A", "y")], A)
    model.functions.append(onnx.FunctionProto(name="Relu", domain="mine"))

    with pytest.raises(ModelError, match="functions"):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


@quiet
@given(data=st.data())
def test_a_mutated_onnx_file_is_a_model_or_a_model_error_and_nothing_else(tmp_path, data):
    nodes = [
        node("Constant", "", "k", value_float=0.5),
        node("Mul", "x k", "m"),
        node("Gemm", "m A a", "h"),
        node("LeakyRelu", "h", "z"),
        node("Transpose", "B", "T", perm=[1, 0]),
        node("MatMul", "z T", "s"),
        node("Add", "s b", "t"),
        node("Softmax", "t", "y"),
    ]
    constants = {"A": numbers(4, 3), "a": numbers(3), "B": numbers(3, 3), "b": numbers(3)}
    content = onnx_model(nodes, constants).SerializeToString()
    changed = mutated(content, data.draw(mutations(len(content))))
    model_or_model_error(written(tmp_path, "mutated.onnx", changed))


def test_reading_onnx_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)

    with pytest.raises(ModelError, match=r'pip install "streameval\[onnx\]"'):
        load(written(tmp_path, "m.onnx", b"\x08\x09"))
