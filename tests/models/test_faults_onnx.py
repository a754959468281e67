"""ONNX files that are hostile or hold other networks: a ModelError, no other file touched, nothing large allocated."""

from __future__ import annotations

import os
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


def test_onnx_weights_in_another_file_are_refused_and_that_file_is_not_opened(tmp_path):
    onnx = pytest.importorskip("onnx")
    big = {"A": np.ones((4, 512), np.float32)}
    path = tmp_path / "m.onnx"
    onnx.save_model(
        onnx_model([node("MatMul", "x A", "y")], big),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    beside = tmp_path / "weights.bin"
    assert beside.stat().st_size == 4 * 512 * 4
    os.utime(beside, (0, 0))
    beside.unlink()
    os.mkfifo(beside)  # opening it would hang

    with pytest.raises(ModelError, match=r"'A' lie outside the ONNX file.*onnx\.save"):
        load(path)


def test_a_lying_external_path_in_a_constant_node_is_refused_too(tmp_path):
    onnx = pytest.importorskip("onnx")
    outside = onnx.numpy_helper.from_array(numbers(4, 3), "A")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    model = onnx_model([node("Constant", "", "A", value=outside), node("MatMul", "x A", "y")], {})

    with pytest.raises(ModelError, match="outside the ONNX file"):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


def refused_graphs() -> list[Any]:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    body = helper.make_graph([], "body", [], [])
    dense = node("MatMul", "x A", "y")
    cases: list[tuple[str, list[Any], dict[str, np.ndarray]]] = [
        ("'Loop'", [node("Loop", "x", "y", body=body)], {}),
        ("'If'", [node("If", "x", "y", then_branch=body, else_branch=body)], {}),
        ("'Scan'", [node("Scan", "x", "y", body=body, num_scan_inputs=1)], {}),
        ("'Conv'", [node("Conv", "x A", "y")], A),
        ("'Erf'.*opset 20", [node("MatMul", "x A", "h"), node("Erf", "h", "y")], A),
        ("'evil.Relu'", [node("Relu", "x", "y", domain="evil")], {}),
        ("'Transpose'", [node("Transpose", "x", "y")], {}),
        ("branches at Add", [node("MatMul", "x A", "h"), node("Add", "h h", "y")], A),
        (
            "branches at Relu",
            [node("MatMul", "x A", "h"), node("Relu", "h", "i"), node("Relu", "h", "y")],
            A,
        ),
        ("computed in a branch", [node("MatMul", "x B", "y")], A),
        ("output 'y' is not where", [node("MatMul", "x A", "h")], A),
        ("ends with relu", [node("MatMul", "x A", "h"), node("Relu", "h", "y")], A),
        ("no layer at all", [node("Identity", "x", "y")], {}),
        ("does not follow a dense", [node("Relu", "x", "h"), node("MatMul", "h A", "y")], A),
        (
            "after its Softmax",
            [node("MatMul", "x A", "h"), node("Softmax", "h", "i"), node("Relu", "i", "y")],
            A,
        ),
        ("axis 0", [node("MatMul", "x A", "h"), node("Softmax", "h", "y", axis=0)], A),
        ("slope 0.2", [node("MatMul", "x A", "h"), node("LeakyRelu", "h", "y", alpha=0.2)], A),
        ("'tanh' form", [node("MatMul", "x A", "h"), node("Gelu", "h", "y", approximate="tanh")], A),
        ("rows first", [node("Gemm", "x A", "y", transA=1)], A),
        ("the weight as input 1", [node("Gemm", "A x", "y")], A),
        ("4 values per row come to layer 1", [node("MatMul", "x B", "y")], {"B": numbers(5, 3)}),
        ("3 values per row come to layer 2", [node("MatMul", "x A", "h"), node("MatMul", "h A", "y")], A),
        ("3 values per row meet", [node("Gemm", "x A B", "y")], {**A, "B": numbers(5)}),
        ("divided by the values", [node("Div", "B x", "h"), dense], {**A, "B": numbers(1)}),
        (
            "training mode",
            [node("Dropout", "x r t", "h"), dense],
            {**A, "r": numbers(1), "t": np.array(True)},
        ),
        ("Reshape to", [node("Reshape", "x s", "h"), dense], {**A, "s": np.array([4, -1])}),
        ("Flatten at axis 0", [node("Flatten", "x", "h", axis=0), dense], A),
        ("other than floating", [node("Cast", "x", "h", to=6), dense], A),
        ("of type int64", [node("Mul", "x s", "h"), dense], {**A, "s": np.array([4])}),
        ("ONNX type 16", [node("MatMul", "x B", "y")], {}),
        (
            "the same numbers again and again",
            [node("MatMul", "x B", "x0"), *[node("MatMul", f"x{i} C", f"x{i + 1}") for i in range(40)]],
            {"B": numbers(4, 256), "C": numbers(256, 256)},
        ),
    ]
    return [pytest.param(*case, id=f"{i}-{case[0][:20]}") for i, case in enumerate(cases)]


@pytest.mark.parametrize(("said", "nodes", "constants"), refused_graphs())
def test_a_graph_that_is_not_a_line_of_dense_layers_is_refused_by_name(tmp_path, said, nodes, constants):
    onnx = pytest.importorskip("onnx")
    model = onnx_model(nodes, constants)
    if "16" in said:
        model.graph.initializer.append(
            onnx.TensorProto(name="B", data_type=16, dims=[4, 3], raw_data=bytes(24))
        )

    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "m.onnx", model.SerializeToString()))


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
