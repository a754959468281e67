"""What `info` says of a network, and what every command says of how it was read."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
from command_line import in_process
from hostile_models import numbers

import streameval as se
from streameval.errors import ModelError, StreamevalWarning
from streameval.models.network import Network
from streameval.models.outline import outline


def network() -> Network:
    return Network(
        [
            se.Conv2d(numbers(4, 1, 3, 3), numbers(4), stride=2, padding=(1, 0, 1, 0), activation="relu"),
            se.Residual(
                [se.Conv2d(numbers(4, 2, 3, 3), padding=1, groups=2)], [se.Activation("tanh")], "silu"
            ),
            se.MaxPool2d(2, 1, ceil_mode=True),
            se.Dropout(0.5),
            se.Layer(numbers(16, 3), numbers(3), "identity"),
        ],
        shape=(1, 6, 7),
    )


def test_a_line_for_each_layer_with_what_it_gives_and_takes():
    """3 x 3 places: (6 + 2 - 3) // 2 + 1 down, (7 - 3) // 2 + 1 across."""
    lines = [
        (one.layer, one.what, one.shape, one.parameters, one.multiply_adds) for one in outline(network())
    ]

    assert lines == [
        ("1", "conv2d 3 x 3, stride 2 x 2, padding 1, 0, 1, 0, relu", (4, 3, 3), 40, 324),
        ("2", "residual, silu", (4, 3, 3), 76, 648),
        ("2.body.1", "conv2d 3 x 3, padding 1, groups 2", (4, 3, 3), 76, 648),
        ("2.shortcut.1", "activation, tanh", (4, 3, 3), 0, 0),
        ("3", "max_pool2d 2 x 2, stride 1 x 1, ceiling", (4, 2, 2), 0, 0),
        ("4", "dropout, times 0.5", (4, 2, 2), 0, 16),
        ("5", "dense", (3,), 51, 48),
    ]


def test_info_shows_the_table_and_json_holds_it(tmp_path):
    path = tmp_path / "net.safetensors"
    layers = [
        se.Conv2d(numbers(2, 1, 3, 3), numbers(2), activation="relu"),
        se.Layer(numbers(32, 3), numbers(3), "identity"),
    ]
    Network(layers, shape=(1, 6, 6)).save(path)

    said = in_process("info", path)
    told = json.loads(in_process("info", path, "--json").stdout)

    assert "conv2d 3 x 3, relu  2 x 4 x 4" in said.stdout
    assert "384 a row" in said.stdout
    assert told["multiply_adds"] == 2 * 9 * 16 + 32 * 3 == 384
    assert [one["what"] for one in told["table"]] == ["conv2d 3 x 3, relu", "dense"]
    assert told["shape"] == [1, 6, 6]


@pytest.fixture
def guessed(tmp_path):
    """A model whose activation is a guess, and data."""
    arrays = {f"W{k}": numbers(4, 4) for k in (1, 2, 3)} | {f"b{k}": numbers(4) for k in (1, 2, 3)}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(arrays))
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (200, 2, 2), np.uint8))
    np.save(folder / "labels.npy", np.arange(200) % 4)
    return tmp_path / "m.pkl", folder


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (("evaluate",), "model"),
        (("minibatch", "--size", "20"), "model"),
        (("compare", "--sizes", "20", "--trials", "50"), "full"),
        (("until", "--half-width", "9"), "model"),
        (("paired",), "models"),
    ],
)
def test_a_guessed_activation_shows_in_every_commands_text_json_and_warning(
    guessed, command, where, tmp_path
):
    model, data = guessed
    models = (model, model) if where == "models" else (model,)
    name, *settings = command

    said = in_process(name, *models, data, *settings)
    told = json.loads(in_process(name, *models, data, *settings, "--json").stdout)

    assert "activations: sigmoid, usual for this" in " ".join(said.stdout.split())
    assert "--activation changes it" in said.stderr
    found = told["full"]["model"] if where == "full" else told[where][1] if where == "models" else told[where]
    assert any("sigmoid, usual" in note for note in found["notes"])


def test_the_library_warns_of_a_guess_and_not_of_what_was_said(guessed):
    with pytest.warns(StreamevalWarning, match="sigmoid, usual"):
        se.load_model(guessed[0])
    se.load_model(guessed[0], activation="sigmoid")  # a warning would be an error


def test_evaluate_says_how_many_products_and_sums_a_second_it_came_to(guessed):
    said = in_process("evaluate", *guessed, "--activation", "relu")

    assert re.search(r"threads: \d+, [\d.e-]+ GFLOP/s", " ".join(said.stdout.split()))
    assert "GFLOP/s" in " ".join(said.stdout.split())


def test_channels_in_another_place_are_refused_and_not_evaluated():
    model = Network([se.GlobalAvgPool2d(), se.Layer(numbers(3, 2), numbers(2), "identity")], shape=(3, 4, 4))
    x = np.zeros((5, 4, 4, 3), np.uint8)

    with pytest.raises(ModelError, match=r"3 x 4 x 4 \(channels, .* 4 x 4 x 3.*transpose\(0, 3, 1, 2\)"):
        se.evaluate(model, (x, np.zeros(5, np.int64)))
