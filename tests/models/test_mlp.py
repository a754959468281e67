"""A network says what it is, is identified by its content, and survives being saved."""

from __future__ import annotations

import hashlib
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streameval.errors import ModelError, StorageError, UsageError
from streameval.kernels.names import ACTIVATIONS
from streameval.models import Layer, Mlp, load


def random_mlp(seed: int, sizes: list[int], middle: list[str]) -> Mlp:
    rng = np.random.default_rng(seed)
    layers = [
        Layer(rng.normal(size=(one, two)), rng.normal(size=two), activation)
        for one, two, activation in zip(sizes, sizes[1:], [*middle, "identity"], strict=False)
    ]
    return Mlp(layers)


@st.composite
def mlps(draw: st.DrawFn) -> Mlp:
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=6))
    middle = draw(st.lists(st.sampled_from(ACTIVATIONS), min_size=len(sizes) - 2, max_size=len(sizes) - 2))
    return random_mlp(draw(st.integers(0, 1000)), sizes, middle)


def test_the_articles_network_says_its_sizes():
    model = random_mlp(0, [784, 50, 100, 10], ["sigmoid", "sigmoid"])

    assert model.sizes == (784, 50, 100, 10)
    assert (model.features, model.classes) == (784, 10)
    assert model.parameters == 784 * 50 + 50 + 50 * 100 + 100 + 100 * 10 + 10
    assert model.activations == ("sigmoid", "sigmoid", "identity")
    assert repr(model) == "Mlp(784-50-100-10, sigmoid, sigmoid, identity)"
    assert (model.path, model.notes) == (None, ())


def twin_sha256(model: Mlp) -> str:
    """The hash, written out number by number."""
    text = b"streameval mlp 1\n"
    for layer in model.layers:
        inputs, outputs = len(layer.weight), len(layer.bias)
        text += f"{layer.activation} {inputs} {outputs}\n".encode()
        for row in layer.weight.tolist():
            text += struct.pack(f"<{outputs}f", *row)
        text += struct.pack(f"<{outputs}f", *layer.bias.tolist())
    return hashlib.sha256(text).hexdigest()


@given(mlps())
def test_the_hash_is_that_of_names_shapes_and_numbers(model):
    assert model.sha256 == twin_sha256(model)
    assert pickle.loads(pickle.dumps(model)) == model
    assert hash(pickle.loads(pickle.dumps(model))) == hash(model)


@given(mlps(), st.data())
def test_changing_any_number_changes_the_hash(model, data):
    index = data.draw(st.integers(0, len(model.layers) - 1))
    layers = list(model.layers)
    weight = layers[index].weight.copy()
    weight.flat[data.draw(st.integers(0, weight.size - 1))] += 1
    layers[index] = Layer(weight, layers[index].bias, layers[index].activation)

    assert Mlp(layers) != model


def test_an_activation_is_part_of_the_hash():
    assert len({random_mlp(0, [4, 3, 2], [name]).sha256 for name in ACTIVATIONS}) == len(ACTIVATIONS)


@settings(deadline=None)
@given(mlps())
def test_a_saved_network_comes_back_the_same_and_saves_to_the_same_bytes(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "one.safetensors")
    again = load(folder / "one.safetensors")
    again.save(folder / "two.safetensors")

    assert again == model
    assert again.activations == model.activations
    assert again.path == str(folder / "one.safetensors")
    assert (folder / "one.safetensors").read_bytes() == (folder / "two.safetensors").read_bytes()


def test_saving_into_a_folder_that_is_not_there_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        random_mlp(0, [3, 2], []).save(tmp_path / "nowhere" / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_precision_and_order_become_float32_rows_that_nobody_can_change(kind, order):
    weight = np.asarray(np.random.default_rng(0).normal(size=(5, 3)), dtype=kind, order=order)
    layer = Layer(weight, np.zeros(3, kind), "relu")

    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert layer.weight.flags.c_contiguous
    np.testing.assert_array_equal(layer.weight, weight.astype(np.float32))
    assert not np.shares_memory(layer.weight, weight)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 1
    weight[:] = 0
    assert layer.weight.any()


@pytest.mark.parametrize(
    ("weight", "bias", "activation", "said"),
    [
        (np.zeros(3), np.zeros(3), "relu", r"weight: shape \(3,\)"),
        (np.zeros((0, 3)), np.zeros(3), "relu", r"shape \(0, 3\)"),
        (np.zeros((2, 3)), np.zeros(2), "relu", r"bias: shape \(2,\).*expected \(3,\)"),
        (np.zeros((2, 3)), np.zeros((1, 3)), "relu", r"bias: shape \(1, 3\)"),
        (np.zeros((2, 3), int), np.zeros(3), "relu", "int64, expected floating point"),
        (np.zeros((2, 3)), np.zeros(3, complex), "relu", "complex128"),
        (np.zeros((2, 3), object), np.zeros(3), "relu", "object"),
        (np.zeros((2, 3)), np.zeros(3), "swish", "swish.*identity, sigmoid, relu"),
    ],
)
def test_a_layer_that_cannot_be_says_what_was_found_and_expected(weight, bias, activation, said):
    with pytest.raises(ModelError, match=said):
        Layer(weight, bias, activation)


def test_a_network_needs_a_layer_and_logits_at_its_end():
    with pytest.raises(ModelError, match="no layers"):
        Mlp([])
    with pytest.raises(ModelError, match="'relu', expected 'identity'"):
        Mlp([Layer(np.zeros((2, 3)), np.zeros(3), "relu")])


def test_what_is_no_layer_is_named():
    with pytest.raises(ModelError, match=r"layer 2: tuple, expected a Layer\. Give Layer\("):
        Mlp([Layer(np.zeros((2, 3)), np.zeros(3), "relu"), (np.zeros((3, 2)), np.zeros(2))])


@pytest.mark.parametrize("name", ["m.npz", "m.pkl", "m.PICKLE", "m.onnx"])
def test_a_network_is_not_written_under_the_name_of_another_format(tmp_path, name):
    with pytest.raises(UsageError, match=r"m\..*ends with \.safetensors"):
        random_mlp(0, [3, 2], []).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_finite_is_counted_and_placed():
    weight = np.ones((3, 2))
    weight[1, 1], weight[2, 0] = np.nan, np.inf

    with pytest.raises(ModelError, match=r"layer 1, weight\[1, 1\]: nan, and 2 such"):
        Mlp([Layer(weight, np.zeros(2), "identity")])
    assert Mlp([Layer(weight, np.zeros(2), "identity")], allow_nonfinite=True).classes == 2


def test_importing_models_and_datasets_loads_nothing_heavy():
    code = (
        "import sys; from streameval.models import Layer, load; from streameval.datasets import fetch;"
        "print(sorted({'numba', 'pyarrow', 'safetensors', 'onnx', 'click', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
