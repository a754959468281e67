"""Cross-entropy with label smoothing: (1 - s) t_k + s / K in place of t_k, whoever computes the outputs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import small_networks as small
from command_line import in_process
from running_kernels import run

import streameval as se
from streameval import losses
from streameval.errors import UsageError
from streameval.scoring.rounding import measure

CLASSES, ROWS = 7, 101
LAYERS = small.network([20, 12, CLASSES], ["sigmoid"], seed=4)
RNG = np.random.default_rng(8)
X = RNG.normal(size=(ROWS, 20)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, ROWS)
SOFT = RNG.dirichlet(np.ones(CLASSES), ROWS)


def expected(t: np.ndarray, eps: float, smoothing: float) -> np.ndarray:
    return naive.cross_entropy(naive.logits(LAYERS, X), naive.smoothed(t, CLASSES, smoothing), eps)


def model() -> se.Mlp:
    return se.Mlp([se.Layer(*layer) for layer in LAYERS])


@pytest.mark.parametrize("eps", [1e-7, 0.0])
@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("t", [LABELS, SOFT], ids=["labels", "soft"])
def test_the_kernel_is_its_twin_however_rows_are_cut(t: np.ndarray, smoothing: float, eps: float) -> None:
    loss = se.CrossEntropy(eps, label_smoothing=smoothing)
    whole = run(LAYERS, X, t, loss=loss)
    assert np.abs(whole.loss - expected(t, eps, smoothing)).max() < 2e-5
    assert np.array_equal(whole.predicted, naive.predicted(LAYERS, X))
    for chunk, threads in ((1, 1), (33, 2), (64, 2)):
        assert run(LAYERS, X, t, loss=loss, chunk=chunk, threads=threads).bits() == whole.bits()


def test_labels_and_one_hot_rows_agree_to_the_last_bit() -> None:
    loss = se.CrossEntropy(label_smoothing=0.3)
    one_hot = np.eye(CLASSES)[LABELS]
    assert run(LAYERS, X, LABELS, loss=loss).bits() == run(LAYERS, X, one_hot, loss=loss).bits()
    assert (
        se.evaluate(model(), (X, LABELS), loss=loss).digest
        == se.evaluate(model(), (X, one_hot), loss=loss).digest
    )


def _callable(returns: str) -> Any:
    def predict(x: np.ndarray) -> np.ndarray:
        out = np.stack([naive.logits(LAYERS, row[None])[0] for row in x])
        return naive.softmax(out) if returns == "probabilities" else out

    return se.Predictor(predict=predict, returns=returns, outputs=CLASSES)


def _saved(kind: str) -> Any:
    out = naive.logits(LAYERS, X)
    values = naive.softmax(out) if kind == "probabilities" else out
    return se.open_outputs({kind: values, "label": LABELS}, **{kind: kind}, label="label", whole=True)


@pytest.mark.parametrize("eps", [1e-7, 0.0])
def test_networks_predictors_and_saved_outputs_come_to_the_same(eps: float) -> None:
    loss = se.CrossEntropy(eps, label_smoothing=0.2)
    exact = expected(LABELS, eps, 0.2).mean()
    ways = {
        "native": (model(), (X, LABELS)),
        "logits": (_callable("logits"), (X, LABELS)),
        "probabilities": (_callable("probabilities"), (X, LABELS)),
        "saved logits": (_saved("logits"), None),
        "saved probabilities": (_saved("probabilities"), None),
    }
    for name, (subject, data) in ways.items():
        report = se.evaluate(subject, data, loss=loss)
        assert report.loss == pytest.approx(exact, abs=1e-6), name
        assert report.correct == (naive.predicted(LAYERS, X) == LABELS).sum()


def test_runs_of_saved_outputs_are_paired_with_smoothing() -> None:
    better = naive.logits(LAYERS, X) + 2.0 * np.eye(CLASSES)[LABELS]
    tables = [naive.logits(LAYERS, X), better]
    runs = [se.open_outputs({"z": z, "t": LABELS}, logits="z", label="t", whole=True) for z in tables]
    found = se.paired(runs, loss=se.CrossEntropy(label_smoothing=0.2))
    rows = naive.smoothed(LABELS, CLASSES, 0.2)
    one, two = (naive.cross_entropy(z, rows, 1e-7).mean() for z in tables)
    assert found.to_dict()["difference"]["mean"] == pytest.approx(two - one, abs=1e-9)
    assert found.to_dict()["label_smoothing"] == 0.2


def test_saved_outputs_that_were_not_opened_whole_are_refused() -> None:
    saved = se.open_outputs({"z": naive.logits(LAYERS, X), "t": LABELS}, logits="z", label="t")
    with pytest.raises(UsageError, match="whole=True"):
        se.evaluate(saved, loss=se.CrossEntropy(label_smoothing=0.2))


def test_no_loss_passes_its_bounds_and_a_lone_wrong_class_reaches_them() -> None:
    for smoothing in (0.0, 0.1, 0.9, 1.0):
        loss = se.CrossEntropy(1e-3, label_smoothing=smoothing)
        assert loss.bounds is not None
        low, high = loss.bounds
        z = 200.0 * np.random.default_rng(1).normal(size=(2000, 3))
        found = loss.reference(z, np.random.default_rng(2).integers(0, 3, 2000))
        assert np.all((low - 1e-12 <= found) & (found <= high + 1e-12))
    z = np.array([[900.0, 0.0]])
    assert se.CrossEntropy(1e-3).reference(z, np.array([1]))[0] == pytest.approx(-math.log(1e-3))
    assert se.CrossEntropy(0.0, label_smoothing=0.1).bounds is None


def test_float32_stays_within_the_stated_rounding() -> None:
    for t in (LABELS, SOFT):
        found = measure(model(), se.open((X, t)), se.CrossEntropy(label_smoothing=0.4))
        assert found is not None
        assert 0.0 < found.largest <= (found.bound or 0.0)


def test_todays_results_say_nothing_of_smoothing() -> None:
    assert se.CrossEntropy().to_dict() == {"name": "cross-entropy", "eps": (1e-7).hex()}
    report = se.evaluate(model(), (X, LABELS)).to_dict()
    assert "label_smoothing" not in json.dumps(report)
    smoothed = se.CrossEntropy(label_smoothing=0.1)
    assert losses.from_dict(smoothed.to_dict()) == smoothed != se.CrossEntropy()
    assert smoothed.kernel != se.CrossEntropy().kernel


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, math.nan, "much", True])
def test_what_is_no_smoothing_is_refused(smoothing: Any) -> None:
    with pytest.raises(UsageError, match=r"label_smoothing: .*expected a number from 0"):
        se.CrossEntropy(label_smoothing=smoothing)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    arrays = {}
    for k, layer in enumerate(LAYERS, start=1):
        arrays |= {f"W{k}": layer.weight, f"b{k}": layer.bias}
    np.savez(tmp_path / "model.npz", **arrays)
    batches = [(X, LABELS)]
    from streameval.storage import create

    create(tmp_path / "data.arrow", batches, rows=ROWS, shape=(20,), dtype=np.float32, classes=CLASSES)
    return str(tmp_path / "model.npz"), str(tmp_path / "data.arrow")


def test_evaluate_and_verify_on_the_command_line(files: tuple[str, str], tmp_path: Path) -> None:
    asked = ("--label-smoothing", "0.2", "--activation", "sigmoid")
    done = in_process("evaluate", *files, *asked, "--json", "--checkpoint", str(tmp_path / "c"))
    report = json.loads(done.stdout)
    assert report["loss"] == pytest.approx(expected(LABELS, 1e-7, 0.2).mean(), abs=1e-6)
    assert report["label_smoothing"] == 0.2
    assert "smoothed" in report["meaning"]["loss"]
    (tmp_path / "report.json").write_text(done.stdout)
    again = in_process("verify", str(tmp_path / "report.json"), *files, "--activation", "sigmoid")
    assert again.returncode == 0, again.stderr
    text = in_process("evaluate", *files, *asked).stdout
    assert "label smoothing 0.2" in text
    for command in ("minibatch", "until", "compare"):
        done = in_process(
            command, *files, *asked, "--json", *(["--trials", "50"] if command == "compare" else [])
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout).get("label_smoothing") == 0.2, command


def test_saved_logits_on_the_command_line(tmp_path: Path) -> None:
    rows = [
        {"z": list(map(float, z)), "t": int(t)} for z, t in zip(naive.logits(LAYERS, X), LABELS, strict=True)
    ]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ("--logits", "z", "--label-column", "t", "--label-smoothing", "0.2", "--json")
    done = in_process("evaluate", str(tmp_path / "run.jsonl"), *columns)
    assert json.loads(done.stdout)["loss"] == pytest.approx(expected(LABELS, 1e-7, 0.2).mean(), abs=1e-9)
    (tmp_path / "losses.csv").write_text("loss\n1.0\n2.0\n")
    done = in_process("evaluate", str(tmp_path / "losses.csv"), "--label-smoothing", "0.2")
    assert done.returncode == 2
    assert "--label-smoothing" in done.stderr
