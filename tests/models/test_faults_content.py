"""Weight files whose content is no usable network: numbers not finite, shapes that do not chain, other files."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from hostile_models import (
    numbers,
    weights,
    written,
)

from streameval.errors import ModelError, StorageError
from streameval.models import Layer, Mlp, load


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_a_weight_that_is_not_finite_is_refused_unless_allowed(tmp_path, name, wrong):
    arrays = weights()
    arrays[name].flat[1] = wrong
    path = written(tmp_path, "m.pkl", pickle.dumps(arrays))

    with pytest.raises(ModelError, match=f"layer {name[1]}, .*--allow-nonfinite") as caught:
        load(path, activation="relu")
    assert str(wrong) in str(caught.value)
    assert load(path, activation="relu", allow_nonfinite=True).features == 4


def test_a_float64_weight_beyond_float32_counts_as_infinite(tmp_path):
    arrays = {"W1": np.full((4, 3), 1e300), "b1": np.zeros(3)}

    with pytest.raises(ModelError, match="inf"):
        load(written(tmp_path, "m.pkl", pickle.dumps(arrays)))


def test_layers_that_do_not_chain_are_named_with_their_numbers(tmp_path):
    arrays = {**weights(), "W2": numbers(5, 2)}

    with pytest.raises(ModelError, match=r"'1' has 3 outputs, but layer '2' takes 5 inputs"):
        load(written(tmp_path, "m.pkl", pickle.dumps(arrays)), activation="relu")
    w = weights()
    with pytest.raises(ModelError, match=r"layer 1 has 3 outputs, but layer 2 takes 5 inputs"):
        Mlp([Layer(w["W1"], w["b1"], "relu"), Layer(numbers(5, 2), w["b2"], "identity")])


def test_a_bias_that_does_not_fit_its_weight_is_named(tmp_path):
    arrays = {**weights(), "b2": numbers(7)}

    with pytest.raises(ModelError, match=r"'2' has 2 outputs, but its bias has 7 numbers"):
        load(written(tmp_path, "m.pkl", pickle.dumps(arrays)))


# Files that are no networks, and files that cannot be read.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x1f\x8b\x08" + bytes(20), "gunzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"ARROW1\0\0", "MODEL DATA"),
        (b"\x00\x00\x08\x03", "MODEL DATA"),
        (b"\x93NUMPY\x01\x00", "savez"),
        (b"hello", r"not recognised.*\.npz, \.pt, \.pth, \.safetensors"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_what_to_do(tmp_path, content, said):
    with pytest.raises(ModelError, match=said):
        load(written(tmp_path, "model.bin", content))


def test_a_path_that_cannot_be_read_is_a_storage_error_with_the_path(tmp_path):
    for path in (tmp_path / "Größe und Maß.pkl", tmp_path):
        with pytest.raises(StorageError, match=path.name):
            load(path)


def test_a_pipe_or_a_device_in_place_of_a_model_is_refused_without_waiting_or_reading_on(tmp_path):
    pipe = tmp_path / "m.npz"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero"):
        with pytest.raises(StorageError, match="not a regular file"):
            load(path)


def test_a_file_larger_than_any_network_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "m.npz"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole
    with pytest.raises(ModelError, match="1099511627776 bytes, expected a network of at most"):
        load(path)
