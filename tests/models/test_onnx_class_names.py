"""What an ONNX file calls its classes is told once, and labels that may be such names or places are asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_models import numbers

import streameval as se
from streameval.errors import ModelError
from streameval.models import load

onnx = pytest.importorskip("onnx")
helper: Any = onnx.helper
ONE_TO_THREE = [1, 2, 3]
WEIGHT = numbers(4, 3)


def classifier(path: Path, names: list[Any], *, zip_map: bool = True, chosen: bool = False) -> str:
    """A linear classifier as skl2onnx writes them, the classes named where it names them: the file's path."""
    kind = "strings" if isinstance(names[0], str) else "ints"
    ml = {"domain": "ai.onnx.ml"}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["p"]),
        helper.make_node("ArgMax", ["p"], ["largest"], axis=1), helper.make_node("Identity", ["p"], ["kept"]),
        helper.make_node("ArrayFeatureExtractor", ["names", "largest"], ["label"], **ml),
    ] if chosen else [
        helper.make_node(
            "LinearClassifier", ["x"], ["label", "kept"], coefficients=WEIGHT.T.ravel().tolist(),
            intercepts=[0.0] * len(names), post_transform="SOFTMAX", **{f"classlabels_{kind}": names}, **ml,
        ),
    ]  # fmt: skip
    if zip_map:
        key = "classlabels_strings" if kind == "strings" else "classlabels_int64s"
        nodes.append(helper.make_node("ZipMap", ["kept"], ["y"], **{key: names}, **ml))
    kinds = {"strings": onnx.TensorProto.STRING, "ints": onnx.TensorProto.INT64}
    tensors = [
        onnx.numpy_helper.from_array(WEIGHT, "w"),
        helper.make_tensor("names", kinds[kind], [len(names)], names),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, ["N", 4])],
        [
            helper.make_tensor_value_info("label", kinds[kind], None),
            helper.make_tensor_value_info("y" if zip_map else "kept", 1, None),
        ],
        tensors if chosen else [],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return str(path)


def data(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return numbers(12, 4), np.resize(labels, 12)


@pytest.mark.parametrize("names", [ONE_TO_THREE, ["cat", "dog", "ox"], ["10", "8", "9"]], ids=str)
@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("zip_map", [False, True])
def test_names_of_classes_are_noted_once_wherever_they_stand(tmp_path, names, chosen, zip_map):
    network = load(classifier(tmp_path / "m.onnx", names, zip_map=zip_map, chosen=chosen))

    said = f"the file calls its classes {', '.join(map(str, names))}: here they count from 0 in that order."
    assert [note for note in network.notes if "classes" in note] == [said]
    assert network.labels == (() if "cat" in names else tuple(map(int, names)))
    assert any(f"of the outputs label, {'y' if zip_map else 'kept'}: " in note for note in network.notes)
    assert not any(note.endswith("label.") for note in network.notes)


@pytest.mark.parametrize("names", [[0, 1, 2], ["0", "1", "2"]], ids=str)
@pytest.mark.parametrize("chosen", [False, True])
def test_places_are_no_names(tmp_path, names, chosen):
    network = load(classifier(tmp_path / "m.onnx", names, chosen=chosen))

    assert network.labels == ()
    assert not any("classes" in note for note in network.notes)


def test_a_graph_that_gives_classes_alone_is_refused(tmp_path):
    path = classifier(tmp_path / "m.onnx", ONE_TO_THREE, zip_map=False)
    model = onnx.load(path)
    del model.graph.output[1]
    onnx.save(model, path)

    with pytest.raises(ModelError, match="gives classes, not their logits"):
        load(path)


WAYS: dict[str, Any] = {
    "evaluate": se.evaluate,
    "losses": se.per_sample_losses,
    "batch": lambda model, rows: se.minibatch(model, rows, size=4, seed=0),
    "until": lambda model, rows: se.evaluate_until(model, rows, half_width=0.1, seed=0),
    "paired": lambda model, rows: se.paired([model, model], rows),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (ONE_TO_THREE, [1, 2]),
        (ONE_TO_THREE, [1, 2, 3]),
        (["1", "2", "3"], [2, 1]),
        ([2, 1, 0], [0, 1, 2]),
        ([0, 2, 10], [0, 0, 2]),
    ],
    ids=str,
)
def test_labels_that_may_be_names_or_places_are_asked_about(tmp_path, way, names, labels):
    model = se.load_model(classifier(tmp_path / "m.onnx", names))

    with pytest.raises(ModelError, match=r"calls its classes .* do they count from 0 in that order\?"):
        WAYS[way](model, data(labels))


@pytest.mark.parametrize(
    ("names", "labels"), [(ONE_TO_THREE, [0, 1, 2]), ([0, 1, 3], [0, 1]), ([5, 6, 7], [1, 2]), (["a", "b", "c"], [1])]
)  # fmt: skip
def test_labels_that_can_only_be_places_are_taken_as_such(tmp_path, names, labels):
    x, t = data(labels)
    plain = se.Mlp([se.Layer(WEIGHT, np.zeros(3, np.float32), "identity")])

    losses = se.per_sample_losses(se.load_model(classifier(tmp_path / "m.onnx", names)), (x, t))

    assert losses.tolist() == se.per_sample_losses(plain, (x, t)).tolist()


def test_both_answers_to_the_question_work(tmp_path):
    """Names become places where --first-label subtracts the first; a network that was saved has no names."""
    x, names = data(ONE_TO_THREE)
    model = se.load_model(classifier(tmp_path / "m.onnx", ONE_TO_THREE))
    plain = se.Mlp([se.Layer(WEIGHT, np.zeros(3, np.float32), "identity")])
    with pytest.raises(ModelError, match="--first-label 1") as caught:
        se.evaluate(model, (x, names))
    assert caught.value.exit_code == 4

    se.convert((x, names), tmp_path / "places.arrow", first_label=1)
    by_name = se.per_sample_losses(model, tmp_path / "places.arrow")
    model.save(tmp_path / "network.safetensors")
    places = np.resize([1, 2], 12)
    by_place = se.per_sample_losses(se.load_model(tmp_path / "network.safetensors"), (x, places))

    assert by_name.tolist() == se.per_sample_losses(plain, (x, names - 1)).tolist()
    assert by_place.tolist() == se.per_sample_losses(plain, (x, places)).tolist()


def test_rows_without_labels_and_targets_of_each_class_are_not_asked_about(tmp_path):
    model = se.load_model(classifier(tmp_path / "m.onnx", [-1, 0, 1]))
    x, t = data([1, 2])

    assert se.predict(model, x).shape == (12, 3)
    assert se.evaluate(model, (x, np.eye(3)[t])).rows == 12
