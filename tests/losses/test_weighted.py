"""Class weights, weights of rows and an ignored label: a ratio of two exact sums, with PyTorch's meaning."""

from __future__ import annotations

import json
import math
import pickle
import re
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process

import streameval as se
from streameval.errors import DataError, LabelError, StreamevalWarning, UsageError
from streameval.layers import Dense

CLASSES, ROWS = 5, 200
RNG = np.random.default_rng(4)
Z = (3.0 * RNG.normal(size=(ROWS, CLASSES))).astype(np.float32)
T = RNG.integers(0, CLASSES, ROWS)
IGNORED = np.where(RNG.random(ROWS) < 0.2, -100, T)
BY_CLASS = RNG.uniform(0.1, 4.0, CLASSES)
BY_ROW = RNG.uniform(0.0, 3.0, ROWS)


def identity(width: int = CLASSES) -> se.Mlp:
    return se.Mlp([Dense(np.eye(width, dtype=np.float32), np.zeros(width, np.float32), "identity")])


def plain(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    return naive.cross_entropy(z.astype(np.float64), t, 0.0)


def test_a_thousand_combinations_are_torchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'streameval[bench]'")
    torch.set_num_threads(1)
    rng = np.random.default_rng(30)
    for _ in range(1000):
        rows, classes = int(rng.integers(1, 12)), int(rng.integers(2, 6))
        z = (rng.choice([0.1, 1.0, 9.0]) * rng.normal(size=(rows, classes))).astype(np.float32)
        smoothing, soft = float(rng.choice([0.0, 0.1, rng.random()])), rng.random() < 0.2
        t: np.ndarray = rng.dirichlet(np.ones(classes), rows) if soft else rng.integers(0, classes, rows)
        ignored = None if soft else [None, -100, int(rng.integers(classes))][rng.integers(3)]
        if ignored == -100:
            t[rng.random(rows) < 0.3] = -100
        weights = rng.uniform(0.1, 5.0, classes) if ignored is None or rng.integers(2) else None
        if ignored is not None and (t == ignored).all():
            continue
        theirs = torch.nn.functional.cross_entropy(
            torch.tensor(z, dtype=torch.float64),
            torch.tensor(t),
            weight=None if weights is None else torch.tensor(weights),
            label_smoothing=smoothing,
            **({} if ignored is None else {"ignore_index": ignored}),
        ).item()
        found = se.evaluate_weighted(
            identity(classes), (z, t), class_weights=weights, ignore_index=ignored,
            loss=se.CrossEntropy(0.0, label_smoothing=smoothing), threads=1,
        )  # fmt: skip
        assert found.loss == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_weights_of_rows_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    found = se.evaluate_weighted(identity(), (Z, T), weights=BY_ROW, eps=0)
    theirs = metrics.log_loss(
        T, naive.softmax(Z.astype(np.float64)), sample_weight=BY_ROW, labels=range(CLASSES)
    )
    assert found.loss == pytest.approx(theirs, rel=1e-9)
    t = RNG.normal(size=(ROWS, CLASSES))
    found = se.evaluate_weighted(identity(), (Z, t), weights=BY_ROW, loss=se.Squared())
    assert found.loss == pytest.approx(metrics.mean_squared_error(t, Z, sample_weight=BY_ROW), rel=1e-9)
    assert found.per_class == []


def test_the_parts_of_a_report_follow_from_plain_sums() -> None:
    found = se.evaluate_weighted(
        identity(), (Z, IGNORED), class_weights=BY_CLASS, weights=BY_ROW, ignore_index=-100, eps=0
    )
    kept = IGNORED != -100
    t = IGNORED[kept]
    w = BY_CLASS[t] * BY_ROW[kept]
    losses = plain(Z[kept], t)
    r = (w * losses).sum() / w.sum()
    n = int(kept.sum())
    said = found.to_dict()
    assert (said["rows"], said["ignored"]) == (n, ROWS - n)
    assert said["loss"] == pytest.approx(r, rel=1e-9)
    assert (said["loss_sum"], said["weight_sum"]) == pytest.approx(((w * losses).sum(), w.sum()), rel=1e-9)
    exact = math.sqrt(n / (n - 1) * ((w * (losses - r)) ** 2).sum()) / w.sum()
    assert said["stderr"] == pytest.approx(exact, rel=1e-9)
    assert said["interval"]["low"] < r < said["interval"]["high"]
    assert (said["interval"]["method"], said["interval"]["estimates"]) == ("delta", "further data")
    assert (
        said["denominator"]
        == "sum over rows of the class weight of its label times the weight, label -100 apart"
    )
    assert said["correct"] == (Z[kept].argmax(axis=1) == t).sum()
    for one in said["per_class"]:
        mine = t == one["class"]
        assert one["rows"] == mine.sum()
        assert one["weight"] == pytest.approx(w[mine].sum(), rel=1e-9)
        assert one["loss"] == pytest.approx(np.average(losses[mine], weights=w[mine]), rel=1e-9)


def test_weights_that_leave_few_rows_to_count_are_warned_of() -> None:
    """Thirty rows of a thousand have all the weight; or weights fall so fast that a thousand count like thirty."""
    rng = np.random.default_rng(1)
    z, t = rng.normal(size=(1000, CLASSES)).astype(np.float32), rng.integers(0, CLASSES, 1000)
    few, falling = (np.arange(1000) < 30).astype(float), np.exp(-np.arange(1000) / 15.5)
    for weights in (few, falling):
        warning = se.evaluate_weighted(identity(), (z, t), weights=weights).to_dict()["interval"]["warning"]
        assert weights.max() <= 0.07 * weights.sum()
        assert f"count like {weights.sum() ** 2 / (weights**2).sum():.0f} of equal weight" in warning
    many = se.evaluate_weighted(identity(), (z, t), weights=rng.random(1000))
    assert many.to_dict()["interval"]["warning"] is None
    alike = se.evaluate_weighted(identity(), (np.zeros_like(z), t), weights=rng.random(1000))
    assert "All rows cost the same" in alike.to_dict()["interval"]["warning"]


def test_a_result_is_printed_and_pickled_without_its_data() -> None:
    found = se.evaluate_weighted(identity(), (Z, T), weights=BY_ROW)
    again = pickle.loads(pickle.dumps(found))
    assert again.to_dict() == found.to_dict()
    assert str(again).splitlines()[1:] == str(found).splitlines()[1:]
    assert "sum over rows of the weight" in str(found)


def test_equal_weights_give_the_plain_mean_and_its_error() -> None:
    full = se.evaluate(identity(), (Z, T))
    found = se.evaluate_weighted(identity(), (Z, T), class_weights=[2.0] * CLASSES)
    assert found.loss == pytest.approx(full.loss, rel=1e-12)
    assert found.stderr == pytest.approx(full.stderr, rel=1e-6)


def test_no_result_depends_on_chunks_threads_or_order() -> None:
    settings: dict[str, Any] = {
        "class_weights": BY_CLASS, "ignore_index": -100, "weights": BY_ROW,
        "loss": se.CrossEntropy(label_smoothing=0.1),
    }  # fmt: skip
    whole = se.evaluate_weighted(identity(), (Z, IGNORED), **settings)
    for changed in ({"chunk_rows": 7}, {"threads": 1}, {"rows": np.arange(ROWS)[::-1]}):
        assert se.evaluate_weighted(identity(), (Z, IGNORED), **settings, **changed).digest == whole.digest
    other = se.evaluate_weighted(
        identity(), (Z, IGNORED), **{**settings, "ignore_index": -100, "weights": None}
    )
    assert other.digest != whole.digest


def test_rows_that_lie_in_another_order_have_the_same_weighted_digest() -> None:
    """The sums know no numbers of rows; those of a plain mean do, and its digest tells the two apart."""
    order = np.random.default_rng(8).permutation(ROWS)
    settings: dict[str, Any] = {"class_weights": BY_CLASS, "ignore_index": -100}
    whole = se.evaluate_weighted(identity(), (Z, IGNORED), weights=BY_ROW, **settings)
    again = se.evaluate_weighted(identity(), (Z[order], IGNORED[order]), weights=BY_ROW[order], **settings)
    assert again.digest == whole.digest
    assert again.sums == whole.sums
    one, two = se.evaluate(identity(), (Z, T)), se.evaluate(identity(), (Z[order], T[order]))
    assert one.loss.hex() == two.loss.hex()
    assert one.state.sums.units_squared == two.state.sums.units_squared
    assert one.digest != two.digest


def test_progress_is_told_after_every_chunk() -> None:
    told: list[tuple[int, int]] = []
    rows = np.arange(ROWS)[50:]
    se.evaluate_weighted(
        identity(), (Z, T), weights=BY_ROW, rows=rows, chunk_rows=60,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(60, 150), (120, 150), (150, 150)]


def test_a_file_that_changes_during_the_pass_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", Z)
    np.save(tmp_path / "labels.npy", T)

    def touch(done: int, total: int) -> None:
        content = (tmp_path / "labels.npy").read_bytes()
        (tmp_path / "labels.npy").write_bytes(content)

    with pytest.raises(DataError, match="changed"):
        se.evaluate_weighted(identity(), tmp_path, weights=BY_ROW, progress=touch)


def test_functions_and_saved_outputs_come_to_the_same() -> None:
    loss = se.CrossEntropy(0.0, label_smoothing=0.2)
    settings: dict[str, Any] = {"class_weights": BY_CLASS, "ignore_index": -100, "loss": loss}
    whole = se.evaluate_weighted(identity(), (Z, IGNORED), **settings).loss
    function = se.Predictor(predict=lambda x: x, returns="logits")
    assert se.evaluate_weighted(function, (Z, IGNORED), **settings).loss == pytest.approx(whole, rel=1e-9)
    given = {"z": Z.astype(np.float64), "t": IGNORED}
    saved = se.open_outputs(given, logits="z", label="t", whole=True, ignore_index=-100)
    assert se.evaluate_weighted(saved, **settings).loss == pytest.approx(whole, rel=1e-9)
    chosen = se.open_outputs(given, logits="z", label="t", ignore_index=-100)
    settings["loss"] = se.CrossEntropy(0.0)
    whole = se.evaluate_weighted(identity(), (Z, IGNORED), **settings).loss
    assert se.evaluate_weighted(chosen, **settings).loss == pytest.approx(whole, rel=1e-9)
    with pytest.raises(LabelError, match="label -100"):
        se.open_outputs(given, logits="z", label="t")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({}, UsageError, "none was given"),
        ({"class_weights": [1.0, 2.0]}, UsageError, "expected 5 numbers"),
        ({"class_weights": [1.0, 2.0, -1.0, 1.0, 1.0]}, DataError, "number 2: -1.0"),
        ({"weights": np.full(ROWS, np.nan)}, DataError, "number 0: nan"),
        ({"weights": np.zeros(ROWS)}, DataError, "no row has a weight"),
        (
            {"weights": np.full(ROWS, 1e-13)},
            DataError,
            r"weights of 1e-13 at most .* Multiply all weights by",
        ),
        ({"ignore_index": 2, "loss": se.Squared()}, UsageError, "of cross-entropy, but the loss is squared"),
        (
            {"class_weights": BY_CLASS * 2e5, "weights": BY_ROW + 1e5},
            DataError,
            "Divide all weights by a constant",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], error: Any, said: str) -> None:
    t = Z.astype(np.float64) if "loss" in settings else T
    with pytest.raises(error, match=said):
        se.evaluate_weighted(identity(), (Z, t), **settings)


@pytest.mark.parametrize("size", [1e-10, 1e-9])
def test_weights_so_small_that_the_sums_lose_digits_are_warned_of_with_a_factor_that_keeps_them(
    size: float,
) -> None:
    """Weights that were divided by their sum, of hundreds of millions of rows, are such."""
    wanted = np.average(plain(Z, T), weights=BY_ROW)
    with pytest.warns(StreamevalWarning, match=r"weights are so small.*may be off by up to .* by 1e") as told:
        off = se.evaluate_weighted(identity(), (Z, T), weights=size * BY_ROW, eps=0).loss / wanted - 1
    much, factor = re.findall(r"up to ([^ ]+) %.* by (1e.*)\.", str(told[0].message))[0]
    assert abs(off) < float(much) / 100
    kept = se.evaluate_weighted(identity(), (Z, T), weights=float(factor) * size * BY_ROW, eps=0).loss
    assert kept == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("settings", [{"weights": 1e-4 * BY_ROW}, {"ignore_index": 0}])
def test_nothing_is_said_of_weights_that_keep_their_digits(settings: dict[str, Any]) -> None:
    """Nor of losses that are next to nothing by themselves: all warnings are errors here."""
    se.evaluate_weighted(identity(), (Z, T), **settings)
    sure = 40.0 * np.eye(CLASSES, dtype=np.float32)[T]
    assert se.evaluate_weighted(identity(), (sure, T), ignore_index=0, eps=0).loss < 1e-12


def test_a_label_that_is_no_class_is_told_beside_those_that_are_ignored() -> None:
    t = IGNORED.copy()
    t[31] = 9
    with pytest.raises(LabelError, match=r"row 31: label 9 \(1 such rows\).*or -100, which is ignored"):
        se.evaluate_weighted(identity(), (Z, t), ignore_index=-100)
    z = Z.copy()
    z[np.flatnonzero(IGNORED == -100)[0]] = np.nan
    assert se.evaluate_weighted(identity(), (z, IGNORED), ignore_index=-100).loss is not None
    z[0] = np.nan
    t = np.where(np.arange(ROWS) == 0, 1, IGNORED)
    with pytest.raises(DataError, match="row 0"):
        se.evaluate_weighted(identity(), (z, t), ignore_index=-100)


def test_the_command_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", W1=np.eye(CLASSES, dtype=np.float32), b1=np.zeros(CLASSES, np.float32))
    features = pa.FixedSizeListArray.from_arrays(pa.array(Z.ravel()), CLASSES)
    table = pa.table({"x": features, "t": pa.array(IGNORED), "w": pa.array(BY_ROW)})
    with pa.ipc.new_file(str(tmp_path / "data.arrow"), table.schema) as file:
        file.write_table(table)
    rows = [
        {"z": list(map(float, z)), "t": int(t), "w": float(w)}
        for z, t, w in zip(Z, IGNORED, BY_ROW, strict=True)
    ]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = se.evaluate_weighted(
        identity(), (Z, IGNORED), class_weights=BY_CLASS, ignore_index=-100, weights=BY_ROW
    )
    np.save(tmp_path / "w.npy", BY_CLASS)
    (tmp_path / "w.json").write_text(json.dumps(BY_CLASS.tolist()))
    (tmp_path / "w.csv").write_text(",".join(map(repr, BY_CLASS.tolist())))
    model = ["evaluate", str(tmp_path / "model.npz"), str(tmp_path / "data.arrow")]
    saved = ["evaluate", str(tmp_path / "run.jsonl"), "--logits", "z", "--label-column", "t"]
    asked = ["--ignore-index", "-100", "--weight-column", "w"]
    for start, name in ((model, "w.npy"), (saved, "w.json"), (saved, "w.csv")):
        done = in_process(*start, *asked, "--class-weights", str(tmp_path / name), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["loss"] == pytest.approx(wanted.loss, rel=1e-9)
    text = in_process(*model, *asked).stdout
    assert "over" in text
    assert "label -100 apart" in text
    assert "delta method" in text
    done = in_process(*model, *asked, "--checkpoint", str(tmp_path / "c"))
    assert done.returncode == 2
    assert "--ignore-index with --checkpoint" in done.stderr
    done = in_process(*model, "--class-weights", str(tmp_path / "none.npy"))
    assert done.returncode == 2
    assert "no such file" in done.stderr
