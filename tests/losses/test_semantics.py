"""`evaluate --semantics`: one pass, and each number is what the library of that name gives on the same outputs."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import small_networks as small
from command_line import in_process
from running_kernels import run

import streameval as se
from streameval.errors import DataError, UsageError
from streameval.evaluation.semantics import CONVENTIONS, semantics
from streameval.layers import Dense
from streameval.losses import ClippedCrossEntropy, from_dict

CLASSES, ROWS = 5, 400
RNG = np.random.default_rng(3)
# Sure rows, right and wrong, where conventions part.
Z = (RNG.choice([1.0, 8.0, 60.0], size=(ROWS, 1)) * RNG.normal(size=(ROWS, CLASSES))).astype(np.float32)
T = RNG.integers(0, CLASSES, ROWS)
Y = naive.softmax(Z.astype(np.float64))
SOFT = RNG.dirichlet(np.ones(CLASSES), ROWS)


def identity() -> se.Mlp:
    return se.Mlp([Dense(np.eye(CLASSES, dtype=np.float32), np.zeros(CLASSES, np.float32), "identity")])


def keras(y: np.ndarray, t: np.ndarray) -> float:
    """keras.ops.categorical_crossentropy, in float64: keras/src/backend/*/nn.py."""
    y = np.clip(y / y.sum(axis=1, keepdims=True), 1e-7, 1.0 - 1e-7)
    return float(-(np.eye(CLASSES)[t] * np.log(y)).sum(axis=1).mean())


def article(y: np.ndarray, t: np.ndarray) -> float:
    return float(-np.log(y[np.arange(len(t)), t] + 1e-7).mean())


def subjects() -> dict[str, tuple[Any, Any]]:
    given = {"logits": Z.astype(np.float64), "p": Y, "t": T}
    return {
        "native": (identity(), (Z, T)),
        "function": (se.Predictor(predict=lambda x: x, returns="logits"), (Z, T)),
        "probabilities": (
            se.Predictor(predict=lambda x: naive.softmax(x.astype(np.float64)), returns="probabilities"),
            (Z, T),
        ),
        "saved logits": (se.open_outputs(given, logits="logits", label="t"), None),
        "saved probabilities": (se.open_outputs(given, probabilities="p", label="t"), None),
    }


@pytest.mark.parametrize("name", list(subjects()))
def test_each_number_is_its_librarys(name: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    found = semantics(*subjects()[name]).losses
    theirs = torch.nn.functional.cross_entropy(torch.tensor(Z, dtype=torch.float64), torch.tensor(T)).item()
    wanted = {
        "article": article(Y, T),
        "PyTorch": theirs,
        "Keras": keras(Y, T),
        "scikit-learn": metrics.log_loss(T, Y, labels=np.arange(CLASSES)),
    }
    assert found == pytest.approx(wanted, rel=1e-9)
    assert len({round(value, 6) for value in wanted.values()}) == 4, "rows that do not tell them apart"


def test_keras_itself_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras_itself = pytest.importorskip("keras", reason="Keras is not installed")
    theirs = float(keras_itself.losses.SparseCategoricalCrossentropy()(T, Y.astype(np.float32)))
    assert semantics(identity(), (Z, T)).losses["Keras"] == pytest.approx(theirs, rel=1e-6)


def test_the_articles_number_is_that_of_evaluate_to_the_bit() -> None:
    found = semantics(identity(), (Z, T))
    assert found.states[0].digest == se.evaluate(identity(), (Z, T)).digest
    assert found.states[1].digest == se.evaluate(identity(), (Z, T), eps=0).digest


@pytest.mark.parametrize("clip", [1e-7, 2.0**-52, 0.1])
@pytest.mark.parametrize("t", [T, SOFT], ids=["labels", "soft"])
def test_clipped_cross_entropy_is_its_twin(t: np.ndarray, clip: float) -> None:
    layers = small.network([20, 12, CLASSES], ["sigmoid"], seed=4)
    x = np.random.default_rng(1).normal(size=(ROWS, 20)).astype(np.float32)
    loss = ClippedCrossEntropy(clip)
    logs = np.log(np.clip(naive.softmax(naive.logits(layers, x)), clip, 1.0 - clip))
    exact = -logs[np.arange(ROWS), t] if t.ndim == 1 else -(t * logs).sum(axis=1)
    found = run(layers, x, t, loss=loss)
    assert np.abs(found.loss - exact).max() < 2e-5
    assert np.abs(loss.reference(naive.logits(layers, x), t) - exact).max() < 1e-12
    assert run(layers, x, t, loss=loss, chunk=33, threads=2).bits() == found.bits()
    low, high = loss.bounds
    assert np.all((low - 1e-12 <= found.loss) & (found.loss <= high + 1e-12))
    assert from_dict(loss.to_dict()) == loss


def test_a_result_is_printed_and_pickled_without_its_data() -> None:
    found = semantics(identity(), (Z, T))
    again = pickle.loads(pickle.dumps(found))
    assert again.to_dict() == found.to_dict()
    assert "scikit-learn" in str(again)


def test_infinity_is_said_and_is_no_number_in_json() -> None:
    p = np.array([[0.0, 1.0], [0.5, 0.5]])
    found = semantics(se.open_outputs({"p": p, "t": [0, 1]}, probabilities="p", label="t"))
    assert found.losses["PyTorch"] == math.inf
    assert found.losses["scikit-learn"] == pytest.approx((36.0437 + math.log(2)) / 2, abs=1e-4)
    told = {one["name"]: (one["loss"], one["infinite_rows"]) for one in found.to_dict()["conventions"]}
    assert told["PyTorch"] == (None, 1)
    assert told["article"][1] == 0


def test_rows_that_are_not_finite_and_values_are_refused() -> None:
    z = Z.copy()
    z[7, 2] = np.nan
    with pytest.raises(DataError, match="row 7"):
        semantics(identity(), (z, T))
    assert semantics(identity(), (z, T), allow_nonfinite=True).rows == ROWS - 1
    with pytest.raises(UsageError, match="can be turned into no other loss"):
        semantics(se.open_outputs({"loss": [1.0, 2.0]}))


def test_the_command_prints_four_numbers_and_why(tmp_path: Path) -> None:
    rows = [{"z": list(map(float, z)), "t": int(t)} for z, t in zip(Z, T, strict=True)]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("evaluate", str(path), "--logits", "z", "--label-column", "t", "--semantics")
    found = json.loads(in_process(*asked, "--json").stdout)
    wanted = semantics(se.open_outputs(str(path), logits="z", label="t")).losses
    assert {one["name"]: one["loss"] for one in found["conventions"]} == wanted
    text = in_process(*asked).stdout
    for one in CONVENTIONS:
        assert one.name in text
        assert f"{wanted[one.name]:.10f}" in text
        assert one.why.split()[0] in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    done = in_process(*asked, "--eps", "0")
    assert done.returncode == 2
    assert "--semantics with --eps" in done.stderr
