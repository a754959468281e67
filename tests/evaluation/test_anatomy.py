"""What a loss is made of: exact counts that no cut changes, and numbers that a twin finds as well."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from command_line import in_process, result
from hypothesis import given, settings
from hypothesis import strategies as st
from lies import inside, lies, places
from long_runs import drawn, network
from naive import softmax
from pyarrow import feather

import streameval as se
from streameval.engines.local import Local
from streameval.errors import CheckError, DataError, UsageError
from streameval.evaluation import sealed
from streameval.evaluation.anatomizing import chances_of, grid_of
from streameval.evaluation.anatomy import BINS, RELATIVE, SMALLEST, Anatomy, Chances, edges, tops
from streameval.evaluation.anatomy_consistency import check_anatomy
from streameval.evaluation.anatomy_report import anatomy_dict
from streameval.evaluation.checkpoint import Checkpoint
from streameval.evaluation.consistency import Numbers
from streameval.evaluation.events import Callback
from streameval.evaluation.shards import StateFile
from streameval.evaluation.state import UNITS, fold_losses
from streameval.statistics.quantiles import order_statistics, rank_of
from streameval.storage.source import Span

ROWS, CLASSES = 70_001, 4
NUMBERED = Numbers(Span(0, ROWS))
NUMBERS = st.one_of(
    st.floats(0.0, 20.0), st.floats(-3e6, 3e6), st.sampled_from([0.0, 1.0, 2.0**-40, 1e-13, -1e-7])
)
unhurried = settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def arrays() -> tuple[Any, Any]:
    return drawn(ROWS)


@pytest.fixture(scope="module")
def plain(arrays: Any) -> se.Report:
    return se.evaluate(network(), arrays)


@pytest.fixture(scope="module")
def taken_apart(arrays: Any) -> se.Report:
    return se.evaluate(network(), arrays, anatomy=True, by=arrays[1] % 3)


def said(report: se.Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(report.to_dict()["anatomy"]))
    return found


@unhurried
@given(st.lists(NUMBERS, min_size=1, max_size=80), st.integers(0, 80))
def test_a_loss_lies_in_its_cell_and_cells_merge(values: list[float], at: int) -> None:
    losses = np.array(values)
    grid = grid_of(losses)
    assert grid == grid_of(losses[at:]) + grid_of(losses[:at])
    for value in values:
        ((k, (rows, units)),) = grid_of(np.array([value])).cells.items()
        low, high = edges(k)
        assert low <= value < high or (k <= 0 and low < value <= high)
        assert high - low <= max(abs(low), abs(high)) / 64 + 2 * SMALLEST
        assert (rows, units) == (1, round(Fraction(value) * UNITS))
    assert type(grid).from_list(json.loads(json.dumps(grid.to_list()))) == grid


@unhurried
@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=80), st.sampled_from([0.01, 0.2, 0.5, 0.9, 0.99]))
def test_quantiles_and_worst_rows_are_within_their_bounds(values: list[float], share: float) -> None:
    losses = np.array(values)
    sums, _ = fold_losses(losses, np.arange(len(losses)))
    grid = grid_of(losses)
    exact = order_statistics(losses, [rank_of(share, len(losses))])[0]
    found = grid.quantile(share, sums)
    assert found is not None
    assert found.low <= exact <= found.high
    assert abs(found.loss - exact) <= RELATIVE * exact + SMALLEST
    worst = grid.worst(share, sums)
    if worst is None:
        assert sums.units == 0
        return
    assert worst.rows == max(1, math.floor(share * len(losses) * (1 + 1e-12)))
    part = np.sort(losses)[-worst.rows :].sum() / losses.sum()
    slack = 1e-9 + len(losses) / UNITS / losses.sum()
    assert worst.low - slack <= part <= worst.high + slack
    assert worst.high - worst.low <= 1 / 64 + slack


def test_no_other_result_changes(plain: se.Report, taken_apart: se.Report) -> None:
    assert taken_apart.digest == plain.digest
    assert plain.anatomy is None
    assert "anatomy" not in plain.to_dict()
    mine, others = taken_apart.to_dict(), plain.to_dict()
    for name in ("anatomy", "resources", "sha256"):
        mine.pop(name, None)
        others.pop(name, None)
    assert mine == others


def test_every_number_is_that_of_a_twin(arrays: Any, taken_apart: se.Report) -> None:
    losses = se.per_sample_losses(network(), arrays)
    y, t = se.predict(network(), arrays[0]).astype(np.float64), arrays[1]
    found = said(taken_apart)
    for one in found["quantiles"]:
        exact = np.sort(losses)[math.ceil(one["share"] * ROWS - 1e-9) - 1]
        assert one["low"] <= exact <= one["high"]
        assert one["loss"] == pytest.approx(exact, rel=found["quantiles_within"])
    part = np.sort(losses)[-(ROWS // 100) :].sum() / losses.sum()
    assert found["worst"]["rows"] == ROWS // 100
    assert found["worst"]["low"] - 1e-9 <= part <= found["worst"]["high"] + 1e-9
    assert found["worst"]["of_loss"] == pytest.approx(part, rel=1e-3)
    brier = ((y - np.eye(CLASSES)[t]) ** 2).sum(1)
    assert found["brier"]["score"] == pytest.approx(brier.mean(), rel=1e-9)
    assert found["brier"]["stderr"] == pytest.approx(brier.std(ddof=1) / math.sqrt(ROWS), rel=1e-6)
    order = np.argsort(-y, axis=1, kind="stable")
    for one in found["top_k"]:
        assert one["right"] == int((order[:, : one["k"]] == t[:, None]).any(1).sum())
    assert [one["k"] for one in found["top_k"]] == list(tops(CLASSES)) == [1, 2, 3]
    confidence, right = y.max(1), y.argmax(1) == t
    error = 0.0
    for k, one in enumerate(found["calibration"]["bins"]):
        mine = (confidence >= k / BINS) & (confidence < (k + 1) / BINS if k < BINS - 1 else True)
        assert one["rows"] == int(mine.sum())
        if not one["rows"]:
            assert one["accuracy"] is one["confidence"] is one["interval"] is None
            continue
        assert one["accuracy"] == right[mine].mean()
        assert one["confidence"] == pytest.approx(confidence[mine].mean(), rel=1e-12)
        assert one["interval"]["low"] <= one["accuracy"] <= one["interval"]["high"]
        error += mine.mean() * abs(right[mine].mean() - confidence[mine].mean())
    assert found["calibration"]["error"] == pytest.approx(error, rel=1e-9)
    assert [one["value"] for one in found["by"]["values"]] == ["0", "1", "2"]
    for one in found["by"]["values"]:
        alone = se.evaluate(network(), arrays, rows=t % 3 == int(one["value"]))
        expected = (alone.rows, alone.loss, alone.stderr, alone.correct)
        assert (one["rows"], one["loss"], one["stderr"], one["correct"]) == expected


def test_chance_alone_makes_about_the_error_that_is_said() -> None:
    """Outcomes drawn by the probabilities themselves: what is measured is about `by_chance`, and never far above."""
    draws, errors, expected = np.random.default_rng(2), [], []
    for _ in range(20):
        y = draws.dirichlet(np.ones(3), 2000)
        t = (draws.random((2000, 1)) > np.cumsum(y, 1)).sum(1)
        report = se.evaluate(
            se.Predictor(predict=lambda x: x, returns="probabilities"), (y.astype("f4"), t), anatomy=True
        )
        errors.append(said(report)["calibration"]["error"])
        expected.append(said(report)["calibration"]["by_chance"])
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.15)


@pytest.mark.parametrize("cut", ["chunks", "threads", "checkpoint", "shards", "engine", "memory", "rows"])
def test_no_cut_of_the_pass_changes_it(arrays: Any, taken_apart: se.Report, tmp_path: Path, cut: str) -> None:
    by = arrays[1] % 3
    settings_: dict[str, Any] = {"anatomy": True, "by": by}
    wanted = taken_apart.anatomy
    if cut == "chunks":
        report = se.evaluate(network(), arrays, chunk_rows=777, **settings_)
    elif cut == "threads":
        report = se.evaluate(network(), arrays, threads=1, **settings_)
    elif cut == "memory":
        report = se.evaluate(network(), arrays, max_memory="40M", **settings_)
    elif cut == "rows":
        turned = np.arange(ROWS)[::-1].copy()
        report = se.evaluate(network(), arrays, rows=turned, **settings_)
        again = se.evaluate(network(), arrays, rows=turned[:100], anatomy=True)
        assert again.anatomy is not None
        assert again.anatomy.rows == 100
    elif cut == "checkpoint":
        path = tmp_path / "pass"
        options = se.PassOptions(checkpoint=Checkpoint(path, every=0.0), callbacks=[_Stop(3)])
        with pytest.raises(KeyboardInterrupt):
            se.evaluate(network(), arrays, options=options, **settings_)
        for other in ({}, {"anatomy": True}, {"by": arrays[1]}):
            with pytest.raises(DataError, match="another pass: anatomy"):
                se.evaluate(network(), arrays, options=se.PassOptions(checkpoint=path), **other)
        report = se.evaluate(network(), arrays, options=se.PassOptions(checkpoint=path), **settings_)
    elif cut == "shards":
        paths = [tmp_path / f"{k}.json" for k in range(3)]
        for k, path in enumerate(paths):
            options = se.PassOptions(shard=(k, 3), callbacks=[StateFile(path)])
            se.evaluate(network(), arrays, options=options, **settings_)
        report = se.merge(paths[::-1])
        se.evaluate(network(), arrays, options=se.PassOptions(shard=(0, 3), callbacks=[StateFile(paths[0])]))
        with pytest.raises(DataError, match="anatomy"):
            se.merge(paths)
    else:
        from long_runs import write

        path = write(tmp_path / "data.arrow", ROWS)
        whole = se.evaluate(network(), path, anatomy=True)
        report = se.evaluate(network(), path, anatomy=True, options=se.PassOptions(engine=Local(20_000)))
        wanted = whole.anatomy
        with pytest.raises(UsageError, match="workers do not have the values"):
            se.evaluate(network(), path, by=by, options=se.PassOptions(engine=Local()))
    assert report.anatomy == wanted
    assert report.digest == taken_apart.digest


class _Stop(Callback):
    """Interrupts the pass after some chunks."""

    def __init__(self, chunks: int) -> None:
        self._left = chunks

    def started(self, event: Any) -> None: ...
    def finished(self, report: Any) -> None: ...
    def stopped(self, error: BaseException) -> None: ...

    def advanced(self, event: Any) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def test_predictors_and_saved_outputs_have_the_same(tmp_path: Path) -> None:
    draws = np.random.default_rng(1)
    z, t = draws.normal(size=(900, 12)).astype(np.float32) * 3, draws.integers(0, 12, 900)
    y = softmax(z.astype(np.float64))
    of_logits = se.evaluate(lambda x: x, (z, t), anatomy=True)
    of_probabilities = se.evaluate(
        se.Predictor(predict=lambda x: x, returns="probabilities"), (y.astype(np.float32), t), anatomy=True
    )
    feather.write_feather(
        pa.table({"z": list(z.astype(np.float64)), "y": list(y), "label": t, "kind": np.array(["a", "b", "c"])[t % 3]}),
        tmp_path / "saved.arrow", compression="uncompressed",
    )  # fmt: skip
    saved = [
        se.evaluate(
            se.open_outputs(tmp_path / "saved.arrow", label="label", whole=True, group="kind", **{what: column}),
            anatomy=True, by="kind",
        )
        for what, column in (("logits", "z"), ("probabilities", "y"))
    ]  # fmt: skip
    one = said(of_logits)
    assert [top["k"] for top in one["top_k"]] == [1, 2, 3, 5, 10]
    for report in (of_probabilities, *saved):
        other = said(report)
        assert other["top_k"] == one["top_k"]
        assert other["brier"]["score"] == pytest.approx(one["brier"]["score"], rel=1e-6)
        assert other["calibration"]["error"] == pytest.approx(one["calibration"]["error"], rel=1e-4)
    assert [value["value"] for value in said(saved[0])["by"]["values"]] == ["a", "b", "c"]
    # Where the true class's probability alone was kept, losses are all there is.
    alone = se.evaluate(se.open_outputs(tmp_path / "saved.arrow", label="label", logits="z"), anatomy=True)
    assert said(alone)["brier"] is said(alone)["top_k"] is said(alone)["calibration"] is None
    assert said(alone)["quantiles"] == said(saved[0])["quantiles"]
    with pytest.raises(UsageError, match="--group other"):
        se.evaluate(se.open_outputs(tmp_path / "saved.arrow", label="label", logits="z"), by="other")
    told = result(
        "evaluate",
        tmp_path / "saved.arrow",
        "--logits",
        "z",
        "--label-column",
        "label",
        "--anatomy",
        "--by",
        "kind",
    )
    assert told["anatomy"]["by"]["values"] == said(saved[0])["by"]["values"]
    assert told["anatomy"]["brier"] == said(saved[0])["brier"]


def test_weights_for_classes_and_rows_that_are_left_out() -> None:
    draws = np.random.default_rng(3)
    x, t = draws.normal(size=(500, 4)).astype(np.float32), draws.dirichlet(np.ones(4), 500)
    model = se.Mlp([se.Layer(np.eye(4, dtype="f4"), np.zeros(4, "f4"), "identity")])
    y = se.predict(model, x).astype(np.float64)
    found = said(se.evaluate(model, (x, t), anatomy=True))
    assert found["brier"]["score"] == pytest.approx(((y - t) ** 2).sum(1).mean(), rel=1e-9)
    assert found["top_k"][0]["right"] == int((y.argmax(1) == t.argmax(1)).sum())
    x[7] = np.nan
    labels = t.argmax(1)
    report = se.evaluate(model, (x, labels), anatomy=True, by=labels, allow_nonfinite=True)
    kept = np.arange(500) != 7
    rest = se.evaluate(model, (x[kept], labels[kept]), anatomy=True, by=labels[kept])
    assert replace(report.anatomy, slices=None) == replace(rest.anatomy, slices=None)
    assert said(report)["by"] == said(rest)["by"]


def test_a_row_that_is_entirely_sure_is_in_the_last_bin() -> None:
    y = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.8, 0.2]], np.float32)
    predictor = se.Predictor(predict=lambda x: x, returns="probabilities")
    found = said(se.evaluate(predictor, (y, np.array([0, 0, 0, 0])), anatomy=True))
    bins = found["calibration"]["bins"]
    assert [(k, one["rows"], one["accuracy"]) for k, one in enumerate(bins) if one["rows"]] == [
        (7, 1, 1.0), (12, 1, 1.0), (14, 2, 0.5),
    ]  # fmt: skip
    # |1/2 - 1| of two rows, |1 - 0.5| and |1 - 0.8| of one each.
    assert found["calibration"]["error"] == pytest.approx((2 * 0.5 + 0.5 + 0.2) / 4, abs=1e-6)
    assert found["calibration"]["largest_gap"] == 0.5
    assert found["brier"]["score"] == pytest.approx((0 + 2 + 0.5 + 0.08) / 4, abs=1e-6)


@contextlib.contextmanager
def counted_lines() -> Iterator[list[int]]:
    """The lines of Python that are run inside."""
    lines: list[int] = []

    def trace(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            lines.append(frame.f_lineno)
        return trace

    usual = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(usual)


@pytest.mark.parametrize("soft", [False, True])
def test_rows_of_very_many_classes_take_no_step_for_each_class(soft: bool) -> None:
    """A vocabulary of 60,000 words, summed up in one order whether two rows are looked at together or one alone."""
    rows, classes = 15, 60_000
    rng = np.random.default_rng(0)
    y = rng.dirichlet(np.full(classes, 0.01), rows).astype(np.float32)
    target, right = rng.integers(0, classes, rows), np.arange(rows) % 2 == 0
    wanted = rng.dirichlet(np.ones(classes), rows) if soft else None
    with counted_lines() as lines:
        together = chances_of(y, target, right, wanted)
    assert 0 < len(lines) < classes // 10
    alone = Chances.empty(classes)
    for k in range(rows):
        one = slice(k, k + 1)
        alone += chances_of(y[one], target[one], right[one], None if wanted is None else wanted[one])
    assert together == alone
    brier: list[float] = []
    for k in range(rows):
        share = np.arange(classes) == target[k] if wanted is None else wanted[k]
        brier.append(0.0)
        for away in (y[k].astype(np.float64) - share).tolist():
            brier[k] += away * away
    assert together.brier == replace(fold_losses(np.array(brier), np.zeros(rows, np.int64))[0], worst=())


def test_saved_losses_and_scores_have_quantiles(tmp_path: Path) -> None:
    draws = np.random.default_rng(4)
    for name, values in (("loss", draws.exponential(size=400)), ("score", draws.normal(size=400))):
        np.save(tmp_path / f"{name}.npy", values)
        report = se.evaluate(se.open_outputs({name: values}, **{name: name}), anatomy=True)
        found = said(report)
        assert (found["worst"] is None) == (name == "score")
        assert found["quantiles"][0]["low"] <= np.sort(values)[199] <= found["quantiles"][0]["high"]


def test_the_values_of_a_column_are_checked(arrays: Any) -> None:
    for by, message in (
        (np.arange(3), "one for each"),
        (arrays[1] + 0.5, "cut into ranges"),
        (np.arange(ROWS), "70001 different values, expected at most 1000"),
        ("topic", "Arrow files"),
    ):
        with pytest.raises(UsageError, match=message):
            se.evaluate(network(), arrays, by=by)


def test_an_anatomy_that_is_not_that_of_its_rows_is_found_out(arrays: Any, taken_apart: se.Report) -> None:
    report = json.loads(json.dumps(taken_apart.to_dict()))
    verified = se.verify(report, network(), arrays)
    assert verified.unknown["anatomy.by"] == report["anatomy"]["by"]
    assert "anatomy" not in verified.unknown
    anatomy = report["anatomy"]
    lies: list[tuple[Any, ...]] = [
        ("brier", "score", 0.1),
        ("quantiles", 0, "loss", 0.1),
        ("worst", "of_loss", 0.5),
        ("state", "grid", 3, 1, 7),
        ("state", "chances", "bins", 5, 0, 1),
        ("state", "chances", "top", 0, 1),
        ("state", "slices", 0, 2, 10**6),
        ("state", "slices", 0, 1, "units", 5),
        ("by", "values", 0, "loss", 0.3),
    ]
    for *place, last, lie in lies:
        changed = json.loads(json.dumps(anatomy))
        inside = changed
        for step in place:
            inside = inside[step]
        inside[last] = lie
        with pytest.raises((CheckError, DataError)):
            se.verify(sealed.seal({**report, "anatomy": changed}), network(), arrays)
    for damaged in (
        {},
        {"grid": 3},
        {**anatomy["state"], "column": None},
        {**anatomy["state"], "grid": [[0, 0, 0]]},
    ):
        with pytest.raises(DataError, match="damaged"):
            Anatomy.from_dict(damaged)


def test_whatever_a_file_says_is_refused_or_told_without_a_crash(arrays: Any, taken_apart: se.Report) -> None:
    stored, believed = json.loads(json.dumps(taken_apart.anatomy.to_dict())), []
    sample = [one for one in places(stored) if one[0] != "grid" or one[1:2] in ((), (0,), (7,))]
    tried = [(place, lie) for place in sample for lie in lies(inside(stored, place))]
    assert len(tried) > 1000
    for place, lie in tried:
        changed = copy.deepcopy(stored)
        inside(changed, place[:-1])[place[-1]] = lie
        try:
            found = Anatomy.from_dict(changed)
            check_anatomy(found, taken_apart.state, NUMBERED)
        except DataError:
            continue
        json.dumps(anatomy_dict(found, taken_apart.state))
        believed.append(place)
    # What some other rows with these losses could have come to: their values, who is among the first classes, the
    # confidence in a bin of many, and the numbers of rows that are among the worst of their value alone.
    told = {".".join("_" if type(step) is int else step for step in place) for place in believed}
    assert told == {
        "chances", "chances.brier.smallest", "chances.top._", "chances.bins._._", "column", "slices._._",
        "slices._._.worst._._",
    }  # fmt: skip
    assert len(believed) < len(tried) / 15


def test_the_command_tells_it_as_text_json_and_page(tmp_path: Path) -> None:
    from long_runs import write

    path = write(tmp_path / "data.arrow", 3000)
    table = pa.ipc.open_file(path).read_all()
    with pa.OSFile(str(tmp_path / "named.arrow"), "wb") as sink:
        named = table.replace_schema_metadata(None).append_column(
            "style", pa.array(np.array(["thin", "bold"])[np.arange(3000) % 2])
        )
        with pa.ipc.new_file(sink, named.schema) as writer:
            writer.write_table(named)
    weights = tmp_path / "net.safetensors"
    network().save(weights)
    page = tmp_path / "page.html"
    arguments = ("evaluate", weights, tmp_path / "named.arrow", "--by", "style")
    done = in_process(*arguments, "--html", page)
    assert done.returncode == 0, done.stderr
    for words in ("quantiles", "worst 1 %", "right in top", "Brier", "calibration", "thin", "bold"):
        assert words in done.stdout, words
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    drawn_page = page.read_text()
    for figure in ("reliability", "confidence", "by", "histogram", "share"):
        assert f'<figure id="{figure}"' in drawn_page
    told = result(*arguments)
    assert [one["value"] for one in told["anatomy"]["by"]["values"]] == ["bold", "thin"]
    without = in_process("evaluate", weights, tmp_path / "named.arrow")
    assert "quantiles" not in without.stdout


def test_the_commands_of_the_docs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import re
    import shlex

    from command_line import ROOT

    monkeypatch.chdir(tmp_path)
    (commands,) = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "docs" / "anatomy.md").read_text(), re.MULTILINE | re.DOTALL
    )
    for line in commands.splitlines():
        done = in_process(*shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr
    assert "calibration" in done.stdout
    assert (tmp_path / "anatomy.html").exists()
