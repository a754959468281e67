"""The book's networks are known by their arrays; what their files leave open has to be said."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile_models import numbers

from streameval.errors import ModelError, StreamevalWarning, UsageError
from streameval.models import load


def simple(channels: int = 1, side: int = 28) -> dict[str, np.ndarray]:
    """A small SimpleConvNet: three filters of 5 x 5."""
    places = ((side - 4) // 2) ** 2
    return {
        "W1": numbers(3, channels, 5, 5), "b1": numbers(3), "W2": numbers(3 * places, 7), "b2": numbers(7),
        "W3": numbers(7, 4), "b3": numbers(4),
    }  # fmt: skip


def deep() -> dict[str, np.ndarray]:
    """A DeepConvNet with two filters a convolution."""
    arrays = {f"W{k}": 0.5 * numbers(2, 1 if k == 1 else 2, 3, 3) for k in range(1, 7)}
    arrays |= {"W7": 0.3 * numbers(32, 6), "W8": numbers(6, 10)}
    return arrays | {
        f"b{k}": 0.1 * numbers(w.shape[1 if k > 6 else 0]) for k, w in enumerate([*arrays.values()], 1)
    }


def saved(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / "m.pkl"
    path.write_bytes(pickle.dumps(arrays))
    return path


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, pad: int = 0) -> np.ndarray:
    """Cross-correlation, written out."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    _, _, high, wide = w.shape
    down, across = x.shape[2] - high + 1, x.shape[3] - wide + 1
    out = np.zeros((len(x), len(w), down, across))
    for i in range(high):
        for j in range(wide):
            out += np.einsum(
                "ncyx,oc->noyx", x[:, :, i : i + down, j : j + across], w[:, :, i, j].astype(float)
            )
    return out + b[:, None, None]


def pool(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def logits(model, x: np.ndarray) -> np.ndarray:
    values = x.astype(float)
    for layer in model.layers:
        values = layer.reference(values)
    return values


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StreamevalWarning)
        return load(*args, **kwargs)


def test_a_simple_convnet_is_read_as_the_books_code_computes_it(tmp_path):
    arrays = simple(channels=2, side=12)

    with pytest.warns(StreamevalWarning, match="SimpleConvNet on images of 12 x 12"):
        model = load(saved(tmp_path, arrays))

    x = numbers(3, 2, 12, 12)
    hidden = pool(relu(conv(x, arrays["W1"], arrays["b1"]))).reshape(3, -1)
    expected = (
        relu(hidden @ arrays["W2"].astype(float) + arrays["b2"]) @ arrays["W3"].astype(float) + arrays["b3"]
    )
    np.testing.assert_allclose(logits(model, x), expected, rtol=1e-10)
    assert model.shape == (2, 12, 12)


@pytest.mark.parametrize(("dropout", "factor"), [("book", 0.5), ("identity", 1.0)])
def test_a_deep_convnet_is_read_with_the_dropout_that_is_asked_for(tmp_path, dropout, factor):
    arrays = deep()
    path = saved(tmp_path, arrays)
    with pytest.raises(ModelError, match="--dropout book or --dropout identity"):
        load(path)

    model = quietly(path, dropout=dropout)

    x = numbers(2, 1, 28, 28)
    h = x.astype(float)
    for k, pad in enumerate((1, 1, 1, 2, 1, 1), start=1):
        h = relu(conv(h, arrays[f"W{k}"], arrays[f"b{k}"], pad))
        h = pool(h) if k % 2 == 0 else h
    h = factor * relu(h.reshape(2, -1) @ arrays["W7"].astype(float) + arrays["b7"])
    expected = factor * (h @ arrays["W8"].astype(float) + arrays["b8"])
    np.testing.assert_allclose(logits(model, x), expected, rtol=1e-10)
    assert any(f"dropout: {dropout}, as asked for" in note for note in model.notes)


def test_dropout_is_refused_where_there_is_none_to_read_and_where_it_is_no_way_to_read_it(tmp_path):
    path = saved(tmp_path, simple())
    with pytest.raises(ModelError, match="Leave --dropout out"):
        quietly(path, dropout="identity")
    with pytest.raises(UsageError, match="'half', expected book or identity"):
        load(path, dropout="half")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"W2": numbers(433, 7)}, "no square image"),
        ({"W1": numbers(3, 1, 5, 4)}, "no square image"),
        ({"b1": numbers(4)}, "one bias W1, b1 each"),
        ({"b3": None}, "one bias W1, b1 each"),
        ({"W2": numbers(3, 3, 3, 3), "b2": numbers(3)}, "of shapes .* Save the network as ONNX"),
        ({"gamma1": numbers(3), "beta1": numbers(3)}, "running_mean1"),
    ],
)
def test_convolutions_that_are_not_the_books_are_told_what_to_do(tmp_path, change, said):
    arrays = {name: array for name, array in {**simple(), **change}.items() if array is not None}

    with pytest.raises(ModelError, match=said):
        quietly(saved(tmp_path, arrays))


def normalised() -> dict[str, np.ndarray]:
    arrays = {"W1": numbers(5, 6), "b1": numbers(6), "W2": numbers(6, 3), "b2": numbers(3)}
    return arrays | {
        "gamma1": numbers(6, 1)[:, 0], "beta1": numbers(6, 2)[:, 0], "running_mean1": numbers(6, 3)[:, 0],
        "running_var1": np.abs(numbers(6, 4)[:, 0]),
    }  # fmt: skip


def test_batch_normalisation_needs_its_running_values_and_an_activation(tmp_path):
    arrays = normalised()
    path = saved(tmp_path, {k: v for k, v in arrays.items() if "running" not in k})
    with pytest.raises(ModelError, match=r"BatchNorm1'\]\.running_mean"):
        load(path, activation="relu")
    path = saved(tmp_path, arrays)
    with pytest.raises(ModelError, match="--activation relu or --activation sigmoid"):
        load(path)

    model = load(path, activation="relu")

    x = numbers(4, 5)
    a = {name: array.astype(float) for name, array in arrays.items()}
    z = (x @ a["W1"] + a["b1"] - a["running_mean1"]) / np.sqrt(a["running_var1"] + 10e-7)
    expected = relu(a["gamma1"] * z + a["beta1"]) @ a["W2"] + a["b2"]
    np.testing.assert_allclose(logits(model, x), expected, rtol=1e-4, atol=1e-4)


BOOK = [
    ("simple_convnet_params-2016", None, "41ebda8d"),
    ("simple_convnet_params-2022", None, "99f1e849"),
    ("deep_convnet_params-2016", "book", "57968e54"),
    ("deep_convnet_params-2016", "identity", "52394053"),
    ("deep_convnet_params-2022", "book", "df888a51"),
    ("deep_convnet_params-2022", "identity", "6a91ef69"),
]


@pytest.mark.parametrize(("name", "dropout", "begins"), BOOK)
def test_the_books_own_files_are_no_guess(mnist_dir, name, dropout, begins):
    """No warning: filterwarnings makes an error of each."""
    path = mnist_dir / "book" / f"{name}.pkl"
    if not path.is_file():
        pytest.skip(f"{path} is not there")

    model = load(path, dropout=dropout)

    assert model.shape == (1, 28, 28)
    assert model.sha256.startswith(begins)
