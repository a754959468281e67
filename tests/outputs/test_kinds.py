"""Logits, probabilities, losses and scores: what a row is worth, against plain formulas."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streameval as se
from streameval.errors import CheckError, DataError, LabelError, ModelError, StreamevalWarning, UsageError

ROWS, CLASSES = 257, 5
RNG = np.random.default_rng(11)
Z = RNG.normal(scale=3, size=(ROWS, CLASSES)).astype(np.float32)
T = RNG.integers(0, CLASSES, ROWS)
P = naive.softmax(Z.astype(np.float64))


def columns(**more: Any) -> dict[str, Any]:
    return {"z": Z, "p": P, "t": T, **more}


@pytest.mark.parametrize("eps", [1e-7, 0.0, 0.1])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_the_cross_entropy_of_saved_outputs_is_that_of_plain_formulas(kind: str, eps: float) -> None:
    asked: dict[str, Any] = {kind: "z" if kind == "logits" else "p"}
    outputs = se.open_outputs(columns(), label="t", **asked)
    expected = naive.cross_entropy(Z.astype(np.float64), T, eps)
    np.testing.assert_allclose(se.per_sample_losses(outputs, eps=eps), expected, rtol=1e-12, atol=1e-12)
    report = se.evaluate(outputs, eps=eps)
    assert report.accuracy == (Z.argmax(axis=1) == T).mean()
    assert [list(row) for row in report.state.confusion] == naive.confusion(T, Z.argmax(axis=1), CLASSES)
    assert report.scorer == "saved"


def test_outputs_give_what_the_network_gives_that_made_them(digits_file: Path, network_file: Path) -> None:
    model, data = se.load_model(network_file), se.open(digits_file)
    chunk = data.take(np.arange(data.rows))
    outputs = se.open_outputs({"p": se.predict(model, chunk.x), "t": chunk.t}, probabilities="p", label="t")
    computed, saved = se.evaluate(model, data), se.evaluate(outputs)
    assert saved.loss == pytest.approx(computed.loss, abs=1e-6)
    assert saved.state.confusion == computed.state.confusion


def test_columns_of_their_own_are_put_together() -> None:
    apart = {f"c{k}": Z[:, k] for k in range(CLASSES)} | {"t": T}
    together = se.open_outputs(columns(), logits="z", label="t")
    for names in ("c0,c1,c2,c3,c4", [f"c{k}" for k in range(CLASSES)], "c*", "c?", ["c0", "c[1-4]"]):
        assert se.open_outputs(apart, logits=names, label="t").fingerprint == together.fingerprint


def test_a_pattern_puts_columns_in_the_order_of_their_numbers_and_leaves_out_the_class() -> None:
    rng = np.random.default_rng(3)
    z, t = rng.normal(size=(40, 12)), rng.integers(0, 12, 40)
    table = {"p_class": t, **{f"p_{k}": z[:, k] for k in sorted(range(12), key=str)}}
    together = se.open_outputs({"z": z, "t": t}, logits="z", label="t")
    assert se.open_outputs(table, logits="p_*", label="p_class").fingerprint == together.fingerprint
    numbers = {"py": z[:, 0], "p1": z[:, 1]}
    found = se.open_outputs(numbers, predictions="p*", target="py")
    assert found.fingerprint == se.open_outputs(numbers, predictions="p1", target="py").fingerprint
    with pytest.raises(UsageError, match=r"no column 'q\*' for logits="):
        se.open_outputs(table, logits="q*", label="p_class")


@pytest.mark.parametrize(
    ("labels", "cure"),
    [
        (["0", "cat", "2"], "label 'cat', .* Where there is none, write numbers in place of names"),
        ([1, 2, 3], "label 3, .* If labels count from 1, subtract 1"),
        ([0, 1, 4], r"label 4, .*0 to 2\. Name the column of class numbers: \S+ \S+$"),
        ([0, 1, -1], r"label -1, .*0 to 2\. Name the column of class numbers: \S+ \S+$"),
        (["0", "1", "0.5"], r"label '0.5', .*0 to 2\. Name the column of class numbers: \S+ \S+$"),
    ],
)
def test_labels_that_are_no_classes_are_told_with_what_to_do(labels: list[Any], cure: str) -> None:
    with pytest.raises(LabelError, match=cure):
        se.open_outputs({"z": Z[:3, :3], "t": labels}, logits="z", label="t")


def test_probabilities_that_are_named_as_logits_are_told() -> None:
    """The softmax of a softmax is no error, and another loss."""
    with pytest.warns(
        StreamevalWarning, match=r"column p: rows .*of sum 1 are taken as logits.* probabilities= "
    ):
        se.open_outputs(columns(), logits="p", label="t")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        se.open_outputs(columns(p=np.vstack([P[:-1], P[-1:] + 0.1])), logits="p", label="t")


def test_columns_may_be_named_by_numbers_as_those_of_a_frame_are() -> None:
    apart = {str(k): Z[:, k] for k in range(CLASSES)} | {"t": T}
    together = se.open_outputs(columns(), logits="z", label="t")
    for names in (list(range(CLASSES)), range(CLASSES)):
        assert se.open_outputs(apart, logits=names, label="t").fingerprint == together.fingerprint
    table = pa.table(apart)
    assert np.array_equal(se.open(table, features=[1, 0], target="t").take(np.arange(ROWS)).x, Z[:, [1, 0]])


def test_arrays_without_names_are_told_how_to_name_them() -> None:
    for unnamed in (Z, (Z, T), [{"loss": 1.0}]):
        with pytest.raises(
            UsageError, match=r"Give arrays names: \{'loss': array\}, or \{'y': outputs, 't': labels\}"
        ):
            se.open_outputs(unnamed)
    with pytest.raises(UsageError, match=r"Of saved outputs: streameval\.open_outputs"):
        se.evaluate({"loss": T})


def test_one_array_of_logits_is_told_how_to_bring_its_classes(tmp_path: Path) -> None:
    """As the message says to save them, they open."""
    np.save(tmp_path / "z.npy", Z)
    np.save(tmp_path / "t.npy", T)
    with pytest.raises(
        DataError, match=r"z\.npy: one array of shape \(257, 5\), .*savez\(path, z=logits, t=labels\)"
    ):
        se.open_outputs(tmp_path / "z.npy", loss="loss")
    with pytest.raises(ModelError, match=r"savez\(path, z=logits, t=labels\).*--logits z --label-column t"):
        se.load_model(tmp_path / "z.npy")
    np.savez(tmp_path / "both.npz", z=Z, t=T)
    assert se.evaluate(se.open_outputs(tmp_path / "both.npz", logits="z", label="t")).rows == ROWS


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_one_number_a_row_is_that_of_class_1_of_two(kind: str) -> None:
    z, t = Z[:, 0].astype(np.float64), T % 2
    given_ = z if kind == "logits" else 1 / (1 + np.exp(-z))
    outputs = se.open_outputs({"x": given_, "t": t}, label="t", **{kind: "x"})
    expected = np.log1p(np.exp(-z * (2 * t - 1)))
    np.testing.assert_allclose(se.per_sample_losses(outputs, eps=0.0), expected, rtol=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_values_of_either_sign_add_up_exactly(values: list[float]) -> None:
    """Differences and log-likelihoods are below 0: the sums are those of the rounded values, to the last bit."""
    report = se.evaluate(se.open_outputs({"v": np.array(values)}, loss="v"))
    units = [round(Fraction(v) * 2**40) for v in values]
    assert report.state.sums.units == sum(units)
    assert report.state.sums.units_squared == sum(q * q for q in units)
    # A state of such rows is a possible one, and its parts join to the same.
    halves = [
        se.open_outputs({"v": np.array(part)}, loss="v") for part in (values[::2], values[1::2]) if part
    ]
    states = [se.evaluate(one).state.sums for one in halves]
    assert sum(one.units for one in states) == report.state.sums.units
    assert type(report.state).from_dict(report.state.to_dict()) == report.state


def test_scores_within_0_and_1_have_these_bounds_and_others_none() -> None:
    for values, bounds in (([0.0, 1.0, 0.5], (0.0, 1.0)), ([0.0, 1.5], None), ([-0.1, 0.3], None)):
        assert se.open_outputs({"v": np.array(values)}, score="v").value.bounds == bounds
    assert se.open_outputs({"v": np.array([0.5])}, loss="v").value.bounds is None


def test_methods_with_a_guarantee_ask_for_bounds_by_name() -> None:
    values = RNG.exponential(size=500)
    with pytest.raises(UsageError, match=r"bounds=.*--bounds LOW:HIGH"):
        se.evaluate_until(se.open_outputs({"loss": values}), half_width=0.1)
    bounded = se.open_outputs({"loss": values}, bounds=(0, 20))
    found = se.evaluate_until(bounded, half_width=0.3)
    assert found.low <= values.mean() <= found.high
    compared = se.compare(bounded, sizes=(20,), trials=20)
    assert "betting" in compared.batches[0].coverage
    unbounded = se.compare(se.open_outputs({"loss": values}), sizes=(20,), trials=20)
    assert "betting" not in unbounded.batches[0].coverage


@pytest.mark.parametrize(
    ("given_", "asked", "error", "said"),
    [
        ({"v": [1.0, 2.0, 9.0]}, {"loss": "v", "bounds": (0, 5)}, DataError, r"row 2: v is 9\.0, outside .* 0 to 5"),
        ({"v": [1.0]}, {"loss": "v", "bounds": (5, 0)}, UsageError, "two finite numbers, the smaller first"),
        ({"v": [1.0]}, {"loss": "v", "bounds": 5}, UsageError, r"bounds: 5, expected two finite numbers"),
        ({"v": [1.0, np.inf]}, {"loss": "v"}, DataError, r"row 1: v is missing, NaN or infinite \(1 such"),
        ({"v": [1.0, 5e6, -1e7]}, {"loss": "v"}, DataError, r"column v, row 1: 5e\+06 \(2 such .*below 4194304.*unit"),
        ({"z": [[1.0, 2.0]], "t": [2]}, {"logits": "z", "label": "t"}, LabelError, r"column t, row 0: label 2.*0 to 1"),
        ({"z": [[1.0, 2.0]], "t": [-1]}, {"logits": "z", "label": "t"}, LabelError, r"row 0: label -1"),
        ({"z": [[1.0, 2.0]], "t": [0.5]}, {"logits": "z", "label": "t"}, LabelError, r"row 0: label 0\.5"),
        ({"p": [[0.5, 0.6]], "t": [0]}, {"probabilities": "p", "label": "t"}, DataError, r"sum 1\.1, .*--logits"),
        ({"p": [[1.5, -0.5]], "t": [0]}, {"probabilities": "p", "label": "t"}, DataError, r"smallest -0\.5"),
        ({"z": [[1.0, 2.0]], "t": [0]}, {"logits": "z"}, UsageError, r"true classes.*\(--label-column\).*z, t"),
        ({"v": [1.0], "t": [0]}, {"loss": "v", "label": "t"}, UsageError, "a value that was saved needs none"),
        ({"z": [[1.0, 2.0]]}, {"loss": "z"}, DataError, r"row 0: float64 of shape \(2,\).*--logits"),
        ({"v": ["a", "b"]}, {"loss": "v"}, DataError, r"column v, row 0: 'a', expected a number"),
        ({"v": [1.0]}, {"loss": "w"}, UsageError, r"no column 'w' for loss= \(--loss-column\)\. Its columns: v"),
        ({"v": [1.0]}, {"loss": "v", "row_id": "i"}, UsageError, r"no column 'i' for row_id= \(--row-id\)"),
        ({"v": [1.0]}, {"loss": "v", "group": "i"}, UsageError, r"no column 'i' for group= \(--group\)"),
        ({"v": [1.0]}, {}, UsageError, r"which column holds what is wanted\?.*Its columns: v"),
        ({"v": [1.0]}, {"loss": "v", "score": "v"}, UsageError, r"loss=.*and score=.*expected one of them"),
        ({"v": [1.0]}, {"metric": "acc"}, UsageError, r"'acc', but this is no tool's file"),
        ({"v": [1.0], "w": [1.0, 2.0]}, {"loss": "v"}, UsageError, "expected arrays of one length"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_cure(
    given_: dict[str, Any], asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        se.open_outputs({name: np.array(values) for name, values in given_.items()}, **asked)


@pytest.mark.parametrize("large", [2.0**22, -(2.0**22), 1e300])
def test_a_number_that_is_too_large_for_the_sums_is_refused_even_where_missing_ones_are_left_out(
    large: float,
) -> None:
    """It is there: left out, it would be missing in the mean."""
    values = np.array([1.0, np.nan, large, 2.0])
    with pytest.raises(DataError, match=r"column v, row 2: .*\(1 such .*larger unit"):
        se.open_outputs({"v": values}, loss="v", allow_nonfinite=True)
    values[2] = np.nextafter(large, 0.0) if abs(large) < 1e7 else 5.0
    assert se.evaluate(se.open_outputs({"v": values}, loss="v", allow_nonfinite=True)).rows == 3


def test_rows_without_a_value_are_counted_and_left_out_where_that_is_asked_for() -> None:
    values = np.array([1.0, np.nan, 3.0, np.inf, -np.inf, 2.0])
    with pytest.raises(DataError, match=r"row 1: .*\(3 such rows of 6\).*--allow-nonfinite"):
        se.open_outputs({"loss": values})
    outputs = se.open_outputs({"loss": values, "id": np.arange(6)}, row_id="id", allow_nonfinite=True)
    report = se.evaluate(outputs)
    assert (report.loss, report.rows) == (2.0, 3)
    assert report.to_dict()["model"]["saved"]["left_out"] == 3
    assert [outputs.ids.name(k) for k in range(3)] == ["0", "2", "5"]
    assert outputs.model.notes == ("3 rows without a finite value were left out",)
    with pytest.raises(DataError, match="no rows with a value"):
        se.open_outputs({"loss": np.array([np.nan])}, allow_nonfinite=True)


def test_logits_of_minus_infinity_are_probabilities_of_0() -> None:
    z = np.array([[0.0, -np.inf], [-np.inf, 0.0], [np.nan, 0.0]])
    outputs = se.open_outputs({"z": z, "t": np.array([0, 0, 1])}, logits="z", label="t", allow_nonfinite=True)
    np.testing.assert_allclose(se.per_sample_losses(outputs), [-np.log1p(1e-7), -np.log(1e-7)], rtol=1e-12)
    with pytest.raises(DataError, match="row 1"):
        se.evaluate(outputs, eps=0.0)


def test_losses_that_were_saved_are_no_other_loss() -> None:
    outputs = se.open_outputs({"loss": np.array([1.0, 2.0])})
    for asked in ({"eps": 0.0}, {"loss": se.CrossEntropy()}):
        with pytest.raises(UsageError, match="was saved, and cannot be turned into another loss"):
            se.evaluate(outputs, **asked)
    with pytest.raises(UsageError, match="saved outputs were given with data"):
        se.evaluate(outputs, (np.zeros((2, 3), np.float32), np.zeros(2, int)))
    from streameval.engines.local import Local

    with pytest.raises(UsageError, match="saved outputs need no workers"):
        se.evaluate(outputs, options=se.PassOptions(engine=Local(1)))


def test_shards_and_checkpoints_of_outputs_join_to_the_same_digest(tmp_path: Path) -> None:
    outputs = se.open_outputs({"loss": RNG.exponential(size=1_000)})
    whole = se.evaluate(outputs)
    from streameval.evaluation.shards import write_state

    states = []
    for k in range(3):
        report = se.evaluate(outputs, options=se.PassOptions(shard=(k, 3)))
        states.append(tmp_path / f"{k}.json")
        write_state(report, states[-1])
    assert se.merge(states).digest == whole.digest
    assert se.verify(whole.to_dict(), outputs.model, outputs).whole


def test_a_report_of_scores_that_lists_worst_rows_as_earlier_versions_did_is_verified() -> None:
    from streameval.evaluation import sealed

    outputs = se.open_outputs({"v": RNG.uniform(size=100)}, score="v")
    report = se.evaluate(outputs)
    said = {name: value for name, value in report.to_dict().items() if name != "sha256"}
    assert said["worst"] is None
    said["worst"] = [{"row": row, "loss": value} for value, row in report.state.sums.worst]
    assert se.verify(sealed.seal(said), outputs.model, outputs).whole
    said["worst"][0]["row"] += 1
    with pytest.raises(CheckError, match="worst do not follow from its exact state"):
        se.verify(sealed.seal(said), outputs.model, outputs)


def test_the_standard_error_takes_groups_as_independent_where_they_were_opened() -> None:
    values, groups = RNG.normal(size=300), np.repeat(np.arange(30), 10)
    values += np.repeat(RNG.normal(size=30), 10)
    report = se.evaluate(se.open_outputs({"loss": values, "g": groups}, group="g"))
    sums = (values - values.mean()).reshape(30, 10).sum(axis=1)
    # Miller 2024, equation 4; t's correction for few groups is 30/29.
    expected = np.sqrt((sums**2).sum()) / 300
    assert report.stderr_clustered == pytest.approx(expected * np.sqrt(30 / 29), rel=1e-6)
    assert report.stderr < report.stderr_clustered
    with pytest.raises(UsageError, match=r"groups: 'h', but .* was opened with those of 'g'"):
        se.evaluate(se.open_outputs({"loss": values, "g": groups}, group="g"), groups="h")


CARRIERS: dict[str, Any] = {
    "csv": lambda path, table: pacsv.write_csv(table, path),
    "parquet": lambda path, table: pq.write_table(table, path),
    "arrow": lambda path, table: feather.write_feather(table, str(path)),
    "jsonl": lambda path, table: path.write_text(
        "".join(f"{json.dumps(row)}\n" for row in table.to_pylist())
    ),
    "json": lambda path, table: path.write_text(json.dumps(table.to_pylist())),
    "npz": lambda path, table: np.savez(
        path, **{name: table[name].to_numpy() for name in table.column_names}
    ),
}


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("form", CARRIERS)
def test_classes_and_their_numbers_are_read_from_every_format(form: str, kind: str, tmp_path: Path) -> None:
    given = Z.astype(np.float64) if kind == "logits" else P
    table = pa.table({f"c{k}": given[:, k] for k in range(CLASSES)} | {"t": T})
    path = tmp_path / f"outputs.{form}"
    CARRIERS[form](path, table)
    outputs = se.open_outputs(path, label="t", **{kind: ",".join(f"c{k}" for k in range(CLASSES))})
    expected = naive.cross_entropy(Z.astype(np.float64), T, 0.0)
    np.testing.assert_allclose(se.per_sample_losses(outputs, eps=0.0), expected, rtol=1e-9)
    assert outputs.target.tolist() == T.tolist()


@pytest.mark.parametrize("form", CARRIERS)
def test_true_and_false_are_scores_in_every_format(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"outputs.{form}"
    CARRIERS[form](path, pa.table({"right": [True, False, True, True]}))
    assert se.open_outputs(path, score="right").values[:, 0].tolist() == [1.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("label", ["one", "1.5", "3", "-1", ""])
def test_a_label_in_text_that_is_no_class_is_refused_by_its_row(label: str, tmp_path: Path) -> None:
    path = tmp_path / "lg.csv"
    path.write_text(f"a,b,c,t\n1,2,3,2\n1,2,3,{label}\n")
    with pytest.raises(LabelError, match=r"column t, row 1: label .*expected the number of a class, 0 to 2"):
        se.open_outputs(path, logits="a,b,c", label="t")


@pytest.mark.parametrize("row", [
    [0.5, 0.5 + 5e-7, -5e-7], [0.0, 1.0 + 9e-4, 0.0], [0.0, 1.0 - 9e-4, 0.0],
    [0.5, 0.5 + 2e-6, -2e-6], [0.0, 1.0 + 2e-3, 0.0], [0.0, 1.0 - 2e-3, 0.0], [0.5, 0.6, -0.1],
])  # fmt: skip
def test_all_mean_the_same_by_probabilities(row: list[float]) -> None:
    """Saved ones, those of a predictor, and those of a Brier score."""
    from streameval.predictors.probing import check_probabilities
    from streameval.statistics.calibration import brier_scores

    given_ = np.array([[0.25, 0.25, 0.5], row])
    sound = min(row) >= -1e-6 and abs(sum(row) - 1.0) <= 1e-3
    for check in (
        lambda: se.open_outputs({"p": given_, "t": np.array([0, 2])}, probabilities="p", label="t"),
        lambda: check_probabilities(given_, np.arange(2), "data"),
        lambda: brier_scores(given_, np.array([0, 2])),
    ):
        if sound:
            check()
        else:
            with pytest.raises(DataError, match="row 1: "):
                check()


def test_a_probability_a_rounding_below_0_counts_as_0() -> None:
    outputs = se.open_outputs(
        {"p": np.array([[1.0 + 5e-7, -5e-7]]), "t": np.array([1])}, probabilities="p", label="t"
    )
    assert se.evaluate(outputs, eps=1e-7).loss == pytest.approx(-np.log(1e-7), abs=1e-9)


def test_probabilities_of_both_infinities_are_refused() -> None:
    with np.errstate(invalid="ignore"), pytest.raises(DataError, match="expected probabilities"):
        se.open_outputs(
            {"p": np.array([[np.inf, -np.inf]]), "t": np.array([0])}, probabilities="p", label="t"
        )
