"""Weights that lie in a second file beside an ONNX file are read from there, and from nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_models import allocated, numbers
from onnx_files import graph

import streameval as se
from streameval.errors import ModelError, UsageError
from streameval.models import load

onnx = pytest.importorskip("onnx")
helper: Any = onnx.helper
WEIGHT = numbers(4, 512)
DATA = "weights.bin"


def model(**external: Any) -> Any:
    """A graph of one product, whose weight (4, 512) lies where `external` says."""
    made = graph([helper.make_node("MatMul", ["x", "A"], ["y"])], {"A": WEIGHT}, ("N", 4))
    (proto,) = made.initializer
    proto.ClearField("raw_data")
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": DATA} | external).items():
        if value is not None:
            proto.external_data.add(key=key, value=str(value))
    return helper.make_model(made)


def written(folder: Path, made: Any, content: bytes | None = WEIGHT.tobytes()) -> Path:
    if content is not None:
        (folder / DATA).write_bytes(content)
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_what_onnx_itself_writes_in_two_files_is_read_as_in_one(tmp_path):
    made = helper.make_model(
        graph([helper.make_node("Gemm", ["x", "A", "b"], ["y"])], {"A": WEIGHT, "b": numbers(512)}, ("N", 4))
    )
    onnx.save_model(made, tmp_path / "one.onnx")
    onnx.save_model(
        made, tmp_path / "two.onnx", save_as_external_data=True, location="two.onnx.data", size_threshold=0
    )

    assert (tmp_path / "two.onnx").stat().st_size < 1000
    assert load(tmp_path / "two.onnx") == load(tmp_path / "one.onnx")


def test_numbers_are_read_by_position_and_a_length_may_be_left_out(tmp_path):
    path = written(
        tmp_path, model(offset=4096, length=WEIGHT.nbytes), bytes(4096) + WEIGHT.tobytes() + b"more"
    )
    np.testing.assert_array_equal(load(path).layers[0].weight, WEIGHT)

    path = written(tmp_path, model())
    np.testing.assert_array_equal(load(path).layers[0].weight, WEIGHT)


def test_a_relative_path_to_the_model_finds_the_second_file(tmp_path, monkeypatch):
    written(tmp_path, model())
    monkeypatch.chdir(tmp_path)

    np.testing.assert_array_equal(load("m.onnx").layers[0].weight, WEIGHT)


@pytest.mark.parametrize(
    ("external", "content", "said"),
    [
        ({"location": "../weights.bin"}, None, "outside the folder"),
        ({"location": "sub/../../weights.bin"}, None, "outside the folder"),
        ({"location": "/etc/passwd"}, None, "outside the folder"),
        ({"location": "a\0b"}, None, "outside the folder"),
        ({"location": ""}, None, "outside the folder"),
        ({"location": "/".join("a" * 20)}, None, "outside the folder"),
        ({"location": None}, None, "without a name"),
        ({"location": "gone.bin"}, None, "'gone.bin', which cannot be opened.*Copy both files"),
        ({"offset": 8}, WEIGHT.tobytes(), "which ends at 8192. Is the file whole"),
        ({"offset": 10**18}, WEIGHT.tobytes(), "offset '1000000000000000000', expected"),
        ({"offset": "0x10"}, WEIGHT.tobytes(), "offset '0x10', expected"),
        ({"offset": "-8"}, WEIGHT.tobytes(), "offset '-8', expected"),
        ({"length": 8000}, WEIGHT.tobytes(), "takes 8192 bytes, but the file says 8000"),
        ({}, WEIGHT.tobytes()[:-1], "which ends at 8191"),
        ({}, b"", "which ends at 0"),
    ],
)  # fmt: skip
def test_a_place_that_is_not_the_models_own_or_not_there_is_refused(tmp_path, external, content, said):
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "models"
    folder.mkdir()
    path = written(folder, model(**external), content)

    with pytest.raises(ModelError, match=said) as caught:
        load(path)
    assert "'A'" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_link_is_not_followed_be_it_the_file_or_a_folder_on_the_way(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / DATA).write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "sub").symlink_to(outside)
    (folder / DATA).symlink_to(outside / DATA)

    for location in (DATA, f"sub/{DATA}"):
        with pytest.raises(ModelError, match="cannot be opened"):
            load(written(folder, model(location=location), None))


def test_a_pipe_or_a_folder_in_its_place_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / DATA)
    with pytest.raises(ModelError, match="no regular file"):
        load(written(tmp_path, model(), None))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match=r"no regular file|cannot be opened"):
        load(written(tmp_path, model(location="folder"), None))


def test_a_constant_node_may_lie_outside_too_and_is_held_to_the_same_places(tmp_path):
    def made(tensor: Any) -> Any:
        nodes = [
            helper.make_node("Constant", [], ["A"], value=tensor),
            helper.make_node("MatMul", ["x", "A"], ["y"]),
        ]
        return helper.make_model(graph(nodes, {}, ("N", 4)))

    tensor = model().graph.initializer[0]
    path = written(tmp_path, made(tensor))
    np.testing.assert_array_equal(load(path).layers[0].weight, WEIGHT)

    tensor.external_data[0].value = "/etc/passwd"
    with pytest.raises(ModelError, match="outside the folder"):
        load(written(tmp_path, made(tensor)))


def test_numbers_here_and_there_are_refused(tmp_path):
    made = model()
    made.graph.initializer[0].ClearField("data_location")
    with pytest.raises(ModelError, match="both here and in another file"):
        load(written(tmp_path, made))


def test_a_shape_that_lies_allocates_nothing(tmp_path):
    made = model()
    made.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    path = written(tmp_path, made)

    assert allocated(lambda: load(path)) < 4_000_000


def test_one_range_of_a_file_cannot_be_read_for_ever(tmp_path):
    """A thousand tensors of the same bytes: refused before they come to more than a multiple of the files."""
    proto = model().graph.initializer[0]
    tensors, nodes, last = [], [], "x"
    for k in range(1000):
        one = onnx.TensorProto()
        one.CopyFrom(proto)
        one.name, one.dims[:] = f"A{k}", [32, 64]
        tensors.append(one)
        nodes.append(helper.make_node("Gemm", [last, f"A{k}"], [f"h{k}"], transB=k % 2))
        last = f"h{k}"
    made = graph([*nodes, helper.make_node("MatMul", [last, "A0"], ["y"])], {}, ("N", 32))
    made.initializer.extend(tensors)

    with pytest.raises(ModelError, match="again and again"):
        load(written(tmp_path, helper.make_model(made)))


def test_no_output_may_be_aimed_at_the_second_file(tmp_path):
    path = written(tmp_path, model())
    x, t = np.zeros((3, 4), np.float32), np.zeros(3, np.int64)

    with pytest.raises(UsageError, match=r"weights\.bin"):
        se.evaluate(load(path), (x, t), options=se.PassOptions(checkpoint=tmp_path / DATA))
    assert (tmp_path / DATA).read_bytes() == WEIGHT.tobytes()
