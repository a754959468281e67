"""Arguments of another kind than was asked for: each is refused by its name, with what was found and expected."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import in_process, streameval

import streameval as se
from streameval import storage
from streameval.arguments import integer, real
from streameval.datasets import mnist
from streameval.errors import UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.losses import CrossEntropy
from streameval.scoring.scorer import MOST_THREADS

ROWS = 40


@pytest.fixture(scope="module")
def model() -> se.Mlp:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(20, 10)).astype(np.float32)
    return se.Mlp([se.Layer(weight, np.zeros(10, np.float32), "identity")])


@pytest.fixture(scope="module")
def data() -> se.Source:
    rng = np.random.default_rng(2)
    return se.open((rng.integers(0, 256, (ROWS, 20), dtype=np.uint8), rng.integers(0, 10, ROWS)))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("eps", [], "a number from 0"),
        ("eps", "1e-7", "a number from 0"),
        ("eps", True, "a number from 0"),
        ("eps", 1e-301, "a number from 0 .* 1e-300 or more"),
        ("eps", 2.0**-1023, "a number from 0 .* 1e-300 or more"),
        ("eps", 1.0, "a number from 0 .* below 1"),
        ("chunk_rows", 2.5, "an integer, 1 or more"),
        ("chunk_rows", [], "an integer, 1 or more"),
        ("threads", "2", "an integer, 1 or more"),
        ("threads", 2.0, "an integer, 1 or more"),
        ("threads", True, "an integer, 1 or more"),
        ("max_memory", 1e9, "an integer"),
        ("max_memory", [], "an integer"),
        ("rows", se.Span(0.5, 2), "an integer"),
        ("rows", slice(0, 10, 0), "integers, the step not 0"),
        ("rows", slice("a", 10), "integers, the step not 0"),
        ("chunk_rows", 1 << 9000, "an integer, 1 or more, of less than 128"),
        ("max_memory", 1 << 9000, "an integer, of less than 128"),
    ],
)
def test_evaluate_names_the_argument_that_is_of_another_kind(
    model: se.Mlp, data: se.Source, name: str, value: Any, expected: str
) -> None:
    with pytest.raises(UsageError, match=rf"(?i)^{name}.*expected {expected}"):
        se.evaluate(model, data, **{name: value})
    if name in ("eps", "chunk_rows", "threads"):
        with pytest.raises(UsageError, match=rf"^{name}: .*expected"):
            list(se.stream(model, data, **{name: value}))
        with pytest.raises(UsageError, match=rf"^{name}: .*expected"):
            se.per_sample_losses(model, data, **{name: value})


@pytest.mark.parametrize(("value", "expected"), [(3, r"\(i, n\)"), ((0.5, 2), "an integer")])
def test_a_shard_of_another_kind_is_refused_by_its_name(
    model: se.Mlp, data: se.Source, value: Any, expected: str
) -> None:
    with pytest.raises(UsageError, match=rf"^shard.*expected {expected}"):
        se.evaluate(model, data, options=PassOptions(shard=value))


LOSING: dict[str, Callable[..., Any]] = {
    "evaluate": lambda *given, **loss: se.evaluate(*given, **loss).digest,
    "stream": lambda *given, **loss: list(se.stream(*given, **loss))[-1].state.digest,
    "per_sample_losses": lambda *given, **loss: se.per_sample_losses(*given, **loss).tolist(),
    "minibatch": lambda *given, **loss: se.minibatch(*given, **loss).loss,
    "evaluate_until": lambda *given, **loss: se.evaluate_until(*given, **loss).loss,
    "compare": lambda *given, **loss: se.compare(*given, sizes=(5,), trials=3, **loss).full.digest,
    "paired": lambda model, data, **loss: se.paired([model, model], data, **loss).reports[0].digest,
}


@pytest.mark.parametrize("name", LOSING)
def test_a_loss_is_given_as_a_value_or_by_its_eps_and_not_twice(
    name: str, model: se.Mlp, data: se.Source
) -> None:
    call = LOSING[name]
    assert call(model, data, loss=CrossEntropy(eps=0.25)) == call(model, data, eps=0.25) != call(model, data)
    assert call(model, data, loss=None, eps=None) == call(model, data) == call(model, data, eps=1e-7)
    with pytest.raises(UsageError, match=r"eps 1e-07 and loss CrossEntropy.*: eps belongs to the loss"):
        call(model, data, loss=CrossEntropy(), eps=1e-7)
    for wrong in ("cross-entropy", CrossEntropy, 3):
        with pytest.raises(UsageError, match=r"^loss: .*, expected a loss as a value, such as CrossEntropy"):
            call(model, data, loss=wrong)


CALLS: dict[str, Callable[[Any, se.Source], Any]] = {
    "evaluate": se.evaluate,
    "stream": lambda model, data: next(se.stream(model, data)),
    "per_sample_losses": se.per_sample_losses,
    "predict": lambda model, data: se.predict(model, np.zeros((1, 20), np.uint8)),
    "minibatch": se.minibatch,
    "evaluate_until": se.evaluate_until,
    "compare": se.compare,
    "losses": lambda model, data: se.evaluate(model, data, options=PassOptions(losses="never.arrow")),
    "paired": lambda model, data: se.paired([model, model], data),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_path_in_place_of_a_network_is_told_to_be_loaded(name: str, data: se.Source) -> None:
    """By all but `verify`, to which a model file that cannot be loaded any more is one that differs."""
    for path in ("m.pkl", Path("m.pkl")):
        with pytest.raises(UsageError, match=r"model: .*load_model\('m\.pkl'\)"):
            CALLS[name](path, data)
    with pytest.raises(UsageError, match="model: None, expected a network"):
        CALLS[name](None, data)
    assert not Path("never.arrow").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("rows", 3.0), ("rows", "3"), ("classes", "10"), ("classes", 2.5), ("shape", 20), ("scale", "2")],
)
def test_create_names_the_argument_that_is_of_another_kind(tmp_path: Path, name: str, value: Any) -> None:
    x, t = np.zeros((3, 20), np.uint8), np.zeros(3, np.int64)
    settings: dict[str, Any] = {"rows": 3, "shape": (20,), "dtype": "uint8", name: value}
    with pytest.raises(UsageError, match=name):
        storage.create(tmp_path / "out", [(x, t)], **settings)
    assert list(tmp_path.iterdir()) == []


def test_open_convert_and_verify_name_theirs(model: se.Mlp, data: se.Source, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scale: '2'"):
        se.open((np.zeros((3, 20), np.uint8), np.zeros(3, np.int64)), scale="2")
    with pytest.raises(UsageError, match=r"classes: 2\.5"):
        se.convert("images", "labels", tmp_path / "out", classes=2.5)
    with pytest.raises(UsageError, match="first_label: '1'"):
        se.convert("images", "labels", tmp_path / "out", first_label="1")
    with pytest.raises(UsageError, match=r"blocks: 2\.5"):
        se.verify({}, model, data, blocks=2.5)
    with pytest.raises(UsageError, match=r"paths: 'state\.json'"):
        se.merge("state.json")


def test_an_empty_path_is_none(
    model: se.Mlp, data: se.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the folder that one happens to be in, whatever lies there."""
    x, t = np.zeros((3, 20), np.uint8), np.zeros(3, np.int64)
    storage.create(tmp_path / "there.arrow", [(x, t)], rows=3, shape=(20,), dtype="uint8")
    model.save(tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    ways: list[tuple[str, Callable[[], object]]] = [
        ("data", lambda: se.open("")),
        ("path of a model", lambda: se.load_model("")),
        ("outputs", lambda: se.open_outputs("")),
        ("dest", lambda: se.convert("there.arrow", "")),
        ("dest", lambda: mnist.fetch("", source=".")),
        ("source", lambda: mnist.fetch("to", source="")),
        ("root", lambda: se.load_mnist(root="")),
    ]
    for name, way in ways:
        with pytest.raises(UsageError, match=f"^{name}: an empty path"):
            way()
    with pytest.raises(UsageError, match="path of a model: None, expected a path"):
        se.load_model(None)  # type: ignore[arg-type]
    done = in_process("evaluate", "model.safetensors", "", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["model.safetensors", "there.arrow"]


@pytest.mark.parametrize("dest", [".", "/"])
def test_a_folder_that_is_no_name_is_no_destination(
    dest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process("digits", dest, "--rows", 1)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "expected the name of what is written" in done.stderr


def test_numbers_of_numpy_are_numbers(model: se.Mlp, data: se.Source) -> None:
    plain = se.evaluate(model, data, eps=0.5, threads=1, chunk_rows=7)
    numpys = se.evaluate(
        model,
        data,
        eps=np.float32(0.5),
        threads=np.int64(1),
        chunk_rows=np.uint8(7),
        max_memory=np.int64(1 << 30),
    )
    assert numpys.digest == plain.digest
    assert integer("n", np.uint64(2**63)) == 2**63
    assert real("x", np.float64(2.5)) == real("x", 2.5) == 2.5
    with pytest.raises(UsageError, match=r"n: '9{50,60}\.\.\. \(str\), expected an integer"):
        integer("n", "9" * 1000)


def test_more_threads_than_make_sense_are_refused_before_memory_is_taken(
    model: se.Mlp, data: se.Source, digits_file: Path, network_file: Path
) -> None:
    most = max(MOST_THREADS, 4 * (os.cpu_count() or 1))
    for settings in ({}, {"max_memory": "1G"}):
        with pytest.raises(UsageError, match=f"threads: 100000, expected 1 to {most}"):
            se.evaluate(model, data, threads=100_000, **settings)
    assert se.evaluate(model, data, threads=most).digest == se.evaluate(model, data, threads=1).digest
    done = streameval("evaluate", network_file, digits_file, "--threads", 100_000, timeout=10)
    assert (done.returncode, done.stdout) == (2, "")
    assert "threads: 100000" in done.stderr


def test_integers_that_python_does_not_write_are_refused_too(model: se.Mlp, data: se.Source) -> None:
    large = 10**5000
    for given in ({"rows": slice(0, 10, 0.5)}, {"rows": [large]}, {"eps": large}, {"max_memory": large}):
        with pytest.raises(UsageError):
            se.evaluate(model, data, **given)
    with pytest.raises(UsageError, match="thousands of digits"):
        se.evaluate(model, data, options=PassOptions(shard=large))
