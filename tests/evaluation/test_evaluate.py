"""Evaluation of small random data: every storage, chunk size, thread count and form of `rows` says the same."""

from __future__ import annotations

import json
import os
import shutil
import struct
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import small_networks as small

import streameval as se
from streameval import storage
from streameval.errors import DataError, LabelError, ModelError, UsageError

ROWS, SHAPE, CLASSES = 1003, (9, 11), 7
FORMS = ("arrays", "arrow", "npy", "idx")


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return small.pixels("mixed", ROWS, 99, seed=5).reshape(ROWS, *SHAPE)


@pytest.fixture(scope="module")
def t() -> np.ndarray:
    return small.labels(ROWS, CLASSES, seed=5)


@pytest.fixture(scope="module")
def exact(layers: list[naive.Layer], x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return naive.losses(layers, x.reshape(ROWS, -1) / 255.0, t)


@pytest.fixture(scope="module")
def stored(x: np.ndarray, t: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same rows in every form, as `se.open` takes them."""
    folder = tmp_path_factory.mktemp("data")
    images, labels = folder / "images", folder / "labels"
    images.write_bytes(struct.pack(">HBB3I", 0, 8, 3, *x.shape) + x.tobytes())
    labels.write_bytes(struct.pack(">HBBI", 0, 8, 1, len(t)) + t.astype(np.uint8).tobytes())
    return {
        "arrays": (x, t),
        "arrow": se.convert(images, labels, folder / "all.arrow", classes=CLASSES),
        "npy": se.convert(images, labels, folder / "all", classes=CLASSES),
        "idx": (images, labels),
    }


# --- one result ---


def test_every_number_of_a_report_is_that_of_the_losses(
    model: se.Mlp, layers: list[naive.Layer], x: np.ndarray, t: np.ndarray, exact: np.ndarray
) -> None:
    losses = se.per_sample_losses(model, (x, t))
    assert np.abs(losses - exact).max() < 2e-5

    report = se.evaluate(model, (x, t))
    guess = naive.predicted(layers, x.reshape(ROWS, -1) / 255.0)
    total, _ = naive.sums(losses)
    _, _, squares = naive.moments(losses)
    assert report.loss == float(Fraction(total, naive.UNITS * ROWS))
    assert report.loss == pytest.approx(exact.mean(), abs=1e-7)
    assert report.loss_sum == float(Fraction(total, naive.UNITS))
    assert report.rows == ROWS
    assert report.correct == int((guess == t).sum())
    assert report.accuracy == report.correct / ROWS
    assert report.stddev == pytest.approx(float(squares / (ROWS - 1)) ** 0.5, rel=1e-12)
    assert report.stderr == pytest.approx(report.stddev / ROWS**0.5, rel=1e-15)

    found = json.loads(json.dumps(report.to_dict()))
    assert (found["min"], found["max"]) == (losses.min(), losses.max())
    assert found["confusion"] == naive.confusion(t, guess, CLASSES)
    assert [(one["loss"], one["row"]) for one in found["worst"]] == naive.worst(losses, range(ROWS))
    expected = naive.per_class(losses, t, guess, CLASSES)
    for k, (one, (rows, right, units)) in enumerate(zip(found["per_class"], expected, strict=True)):
        assert (one["class"], one["rows"], one["accuracy"]) == (k, rows, right / rows)
        assert one["loss"] == float(Fraction(units, naive.UNITS * rows))
    names = ("loss", "loss_sum", "rows", "correct", "accuracy", "stddev", "stderr", "digest", "eps")
    assert {name: found[name] for name in names} == {name: getattr(report, name) for name in names}
    assert found["model"]["layers"] == [99, 20, CLASSES]
    assert found["model"]["activations"] == ["sigmoid", "identity"]
    assert (found["data"]["rows"], found["data"]["features"], found["data"]["classes"]) == (ROWS, 99, CLASSES)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_digest_does_not_depend_on_storage_chunks_or_threads(
    model: se.Mlp, stored: dict[str, Any], form: str, threads: int
) -> None:
    digest = se.evaluate(model, stored["arrays"]).digest
    for chunk_rows in (1, 7, 100, 4096):
        assert se.evaluate(model, stored[form], chunk_rows=chunk_rows, threads=threads).digest == digest
    assert se.evaluate(model, se.open(stored[form])).digest == digest


def test_the_digest_depends_on_the_model_the_data_and_eps(
    model: se.Mlp, layers: list[naive.Layer], x: np.ndarray, t: np.ndarray
) -> None:
    biased = layers[0]._replace(bias=layers[0].bias + np.float32(1e-3))
    another = se.Mlp([se.Layer(*biased), *model.layers[1:]])
    brighter = x.copy()
    brighter[500, 4, 4] += 1
    digests = {
        se.evaluate(model, (x, t)).digest,
        se.evaluate(another, (x, t)).digest,
        se.evaluate(model, (brighter, t)).digest,
        se.evaluate(model, (x, t), eps=0.0).digest,
    }
    assert len(digests) == 4


@pytest.mark.parametrize("eps", [0.0, 1e-7, 1e-3])
def test_one_hot_targets_give_the_digest_of_integer_labels(
    model: se.Mlp, x: np.ndarray, t: np.ndarray, eps: float
) -> None:
    digest = se.evaluate(model, (x, t), eps=eps).digest
    for dtype in (np.float64, np.float32, np.int64, np.uint8):
        one_hot = naive.one_hot(t, CLASSES).astype(dtype)
        assert se.evaluate(model, (x, one_hot), eps=eps).digest == digest


def test_soft_targets_and_float_features_are_near_float64(model: se.Mlp, layers: list[naive.Layer]) -> None:
    x, t = small.floats(300, 99), small.soft_targets(300, CLASSES)
    losses = se.per_sample_losses(model, (x, t))
    assert np.abs(losses - naive.losses(layers, x, t)).max() < 2e-5
    report = se.evaluate(model, (x, t))
    right = naive.predicted(layers, x) == np.argmax(t, axis=1)
    assert report.correct == int(right.sum())


def test_the_scale_of_a_source_is_used(model: se.Mlp, layers: list[naive.Layer]) -> None:
    for x in (small.pixels("mixed", 50, 99), small.floats(50, 99)):
        t = small.labels(50, CLASSES)
        losses = se.per_sample_losses(model, se.open((x, t), scale=0.01))
        assert np.abs(losses - naive.losses(layers, x * 0.01, t)).max() < 2e-5


# --- which rows ---


def test_every_form_of_rows_means_the_same_rows(model: se.Mlp, stored: dict[str, Any]) -> None:
    losses = se.per_sample_losses(model, stored["arrays"])
    numbers = np.arange(100, 900)
    mask = np.zeros(ROWS, bool)
    mask[100:900] = True
    forms = [se.Span(100, 900), slice(100, 900), slice(100, -103), range(100, 900), numbers, numbers.tolist()]
    forms += [mask, mask.tolist(), numbers.astype(np.int16), numbers[::-1], range(899, 99, -1)]
    for form in FORMS:
        digests = set()
        for rows in forms:
            report = se.evaluate(model, stored[form], rows=rows, chunk_rows=300)
            digests.add(report.digest)
            assert report.rows == 800
        assert len(digests) == 1
        for rows in (range(3, 1000, 7), slice(None, None, 50), slice(-5, None), [5, 5, 1, 5], [ROWS - 1, 0]):
            chosen = losses[rows if isinstance(rows, slice) else list(rows)]
            assert np.array_equal(se.per_sample_losses(model, stored[form], rows=rows), chosen)
            assert se.evaluate(model, stored[form], rows=rows).state.sums.units == naive.sums(chosen)[0]


@pytest.mark.parametrize("rows", [[], slice(5, 5), range(0), np.zeros(ROWS, bool), se.Span(7, 7)])
def test_no_rows_give_a_report_without_a_loss(model: se.Mlp, stored: dict[str, Any], rows: Any) -> None:
    report = se.evaluate(model, stored["arrow"], rows=rows)
    assert (report.rows, report.loss, report.stddev, report.accuracy) == (0, None, None, None)
    json.dumps(report.to_dict(), allow_nan=False)
    assert se.per_sample_losses(model, stored["arrow"], rows=rows).shape == (0,)


def test_a_data_set_without_rows_is_refused(model: se.Mlp, x: np.ndarray, t: np.ndarray) -> None:
    for run in (se.evaluate, se.per_sample_losses, se.minibatch, se.compare, se.evaluate_until, se.stream):
        with pytest.raises(
            DataError, match=r"<arrays>: no rows, so there is no loss\. Expected at least one"
        ):
            list(run(model, (x[:0], t[:0])))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="<arrays>: no rows, so there is no loss"):
        se.paired([model, model], (x[:0], t[:0]))
    report = se.evaluate(model, (x, t)).to_dict()
    with pytest.raises(DataError, match="<arrays>: no rows, so there is no loss"):
        se.verify(report, model, (x[:0], t[:0]))


def test_one_row_has_a_loss_and_no_standard_deviation(model: se.Mlp, x: np.ndarray, t: np.ndarray) -> None:
    losses = se.per_sample_losses(model, (x, t))
    for report in (se.evaluate(model, (x[7:8], t[7:8])), se.evaluate(model, (x, t), rows=[7])):
        assert report.rows == 1
        assert report.loss == naive.sums([losses[7]])[0] / naive.UNITS
        assert (report.stddev, report.stderr) == (None, None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, ROWS], rf"number 1 is row {ROWS}, but .* has {ROWS} rows.*0\.\.{ROWS - 1}"),
        ([-1], r"number 0 is row -1"),
        (se.Span(0, ROWS + 1), rf"rows 0:{ROWS + 1}.*within 0:{ROWS}"),
        (range(5, ROWS + 5), rf"within 0:{ROWS}"),
        (np.ones(ROWS - 1, bool), rf"a mask of shape \({ROWS - 1},\).*\({ROWS},\)"),
        ([0.5], r"float64 of shape \(1,\), expected row numbers"),
        (np.zeros((2, 2), int), r"shape \(2, 2\), expected row numbers"),
    ],
)
def test_rows_that_are_not_there_are_refused(
    model: se.Mlp, stored: dict[str, Any], rows: Any, message: str
) -> None:
    for run in (se.evaluate, se.per_sample_losses):
        with pytest.raises(UsageError, match=message):
            run(model, stored["arrow"], rows=rows)


# --- step by step ---


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk_rows", [1, 100, 4096])
def test_the_last_step_of_a_stream_is_the_evaluation(
    model: se.Mlp, stored: dict[str, Any], form: str, chunk_rows: int
) -> None:
    full = se.evaluate(model, stored[form])
    losses = se.per_sample_losses(model, stored[form])
    done = 0
    for step in se.stream(model, stored[form], chunk_rows=chunk_rows):
        assert (step.span.start, step.rows, step.total) == (done, step.span.stop, ROWS)
        assert len(step.span) <= chunk_rows
        assert np.array_equal(step.losses, losses[step.span.start : step.span.stop])
        assert step.loss == pytest.approx(losses[: step.rows].mean(), abs=1e-11)
        done = step.span.stop
    assert done == ROWS
    assert (step.loss, step.state) == (full.loss, full.state)
    assert step.state.digest == full.digest


def test_a_stream_over_chosen_rows_counts_places_among_them(model: se.Mlp, stored: dict[str, Any]) -> None:
    rows = [900, 3, 3, 77, 5]
    steps = list(se.stream(model, stored["arrow"], rows=rows, chunk_rows=2))
    assert [(step.span.start, step.span.stop) for step in steps] == [(0, 2), (2, 4), (4, 5)]
    assert steps[-1].state == se.evaluate(model, stored["arrays"], rows=rows).state


def test_progress_is_told_after_every_chunk(model: se.Mlp, stored: dict[str, Any]) -> None:
    told: list[tuple[int, int]] = []
    se.evaluate(model, stored["npy"], chunk_rows=400, progress=lambda done, total: told.append((done, total)))
    assert told == [(400, ROWS), (800, ROWS), (ROWS, ROWS)]


# --- mini-batches ---


def test_a_mini_batch_is_the_article_s_random_choice_and_its_loss_is_that_of_its_rows(
    model: se.Mlp, stored: dict[str, Any]
) -> None:
    found = se.minibatch(model, stored["arrow"], size=50, batches=3, seed=11)
    rng = np.random.default_rng(11)
    for batch in found.batches:
        assert np.array_equal(batch.rows, rng.integers(0, ROWS, 50))
        report = se.evaluate(model, stored["arrow"], rows=batch.rows)
        assert batch.loss == pytest.approx(report.loss, abs=1e-12)
        assert np.array_equal(batch.losses, se.per_sample_losses(model, stored["arrow"], rows=batch.rows))
        assert batch.interval.low <= batch.loss <= batch.interval.high
        assert batch.size == 50
    assert (found.loss, found.replace, found.seed) == (found.batches[0].loss, True, 11)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("replace", [True, False])
def test_the_same_seed_draws_the_same_rows_from_every_storage(
    model: se.Mlp, stored: dict[str, Any], form: str, replace: bool
) -> None:
    one, two, other = (
        se.minibatch(model, stored[one_form], size=40, batches=2, seed=seed, replace=replace)
        for one_form, seed in (("arrays", 3), (form, 3), (form, 4))
    )
    for mine, theirs, different in zip(one.batches, two.batches, other.batches, strict=True):
        assert np.array_equal(mine.rows, theirs.rows)
        assert np.array_equal(mine.losses, theirs.losses)
        assert not np.array_equal(mine.rows, different.rows)
    assert not np.array_equal(one.batches[0].rows, one.batches[1].rows)


def test_without_replacement_no_row_comes_twice_and_a_batch_of_all_is_the_full_loss(
    model: se.Mlp, stored: dict[str, Any]
) -> None:
    part = se.minibatch(model, stored["arrow"], size=900, batches=2, replace=False).batches
    for batch in part:
        assert len(set(batch.rows.tolist())) == 900
    everything = se.minibatch(model, stored["arrow"], size=ROWS, replace=False)
    assert sorted(everything.batches[0].rows.tolist()) == list(range(ROWS))
    assert everything.loss == pytest.approx(se.evaluate(model, stored["arrow"]).loss, abs=1e-11)
    with_repeats = se.minibatch(model, stored["arrow"], size=900).batches[0].rows
    assert len(set(with_repeats.tolist())) < 900


def test_a_generator_goes_on_where_it_is(model: se.Mlp, stored: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    first = se.minibatch(model, stored["arrow"], size=10, seed=rng).batches[0].rows
    second = se.minibatch(model, stored["arrow"], size=10, seed=rng).batches[0].rows
    both = se.minibatch(model, stored["arrow"], size=10, batches=2, seed=5).batches
    assert np.array_equal(first, both[0].rows)
    assert np.array_equal(second, both[1].rows)


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"batches": 0}, {"size": ROWS + 1, "replace": False}, {"seed": -1}, {"eps": 1.0}]
)
def test_a_mini_batch_that_cannot_be_drawn_is_refused(
    model: se.Mlp, stored: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        se.minibatch(model, stored["arrow"], **wrong)


def test_no_mini_batch_is_drawn_from_an_empty_data_set(model: se.Mlp, x: np.ndarray, t: np.ndarray) -> None:
    with pytest.raises(DataError, match="no rows, so there is no loss"):
        se.minibatch(model, (x[:0], t[:0]))


# --- faults ---


@pytest.mark.parametrize("bad", [CLASSES, 255, 2**40, -1])
def test_a_label_outside_the_classes_is_named_before_a_kernel_sees_it(
    model: se.Mlp, x: np.ndarray, t: np.ndarray, bad: int
) -> None:
    wrong = t.copy()
    wrong[[700, 703, 1002]] = bad
    message = rf"row 700: label {bad}\b.*3 such rows"
    for run in (se.evaluate, se.per_sample_losses, lambda *a: list(se.stream(*a))):
        with pytest.raises(LabelError, match=message):
            run(model, (x, wrong))
    with pytest.raises(LabelError, match=r"row 703"):
        se.evaluate(model, (x, wrong), rows=[1, 2, 703])
    if bad >= CLASSES:
        with pytest.raises(LabelError, match=r"expected 7 classes \(0\.\.6\)"):
            se.evaluate(model, (x, wrong))
    assert se.evaluate(model, (x, wrong), rows=slice(0, 700)).rows == 700


def test_a_network_that_does_not_fit_the_data_is_refused(model: se.Mlp, x: np.ndarray, t: np.ndarray) -> None:
    for run in (se.evaluate, se.per_sample_losses, se.minibatch, lambda *a: list(se.stream(*a))):
        with pytest.raises(
            ModelError, match=r"takes 99 features, but the rows of <arrays> have 90 \(9 x 10\)"
        ):
            run(model, (x[:, :, :10], t))
        with pytest.raises(ModelError, match=r"the rows of <arrays> have 98\. Choose the model that belongs"):
            run(model, (x.reshape(len(x), -1)[:, 1:], t))
        with pytest.raises(
            ModelError, match=r"have 5\. There are 99 rows: if these are the features, transpose"
        ):
            run(model, (x[:5].reshape(5, 99).T, t[:99]))
        with pytest.raises(ModelError, match=r"has 7 classes, but the targets of <arrays> have 5"):
            run(model, (x, naive.one_hot(t % 5, 5)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"eps": -1e-9}, r"eps: -1e-09"),
        ({"eps": 1.0}, r"eps: 1\.0"),
        ({"eps": float("nan")}, r"eps: nan"),
        ({"threads": 0}, r"threads: 0, expected 1 or more"),
        ({"chunk_rows": 0}, r"chunk_rows: 0, expected 1 or more"),
    ],
)
def test_an_argument_that_cannot_mean_anything_is_refused(
    model: se.Mlp, stored: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    for run in (se.evaluate, se.per_sample_losses, lambda *a, **k: list(se.stream(*a, **k))):
        with pytest.raises(UsageError, match=message):
            run(model, stored["arrow"], **wrong)


@pytest.mark.parametrize("form", ["arrow", "npy"])
@pytest.mark.parametrize("how", ["replaced", "overwritten", "removed"])
def test_a_file_that_changes_during_a_pass_ends_it_without_a_result(
    model: se.Mlp, stored: dict[str, Any], tmp_path: Path, form: str, how: str
) -> None:
    copy = shutil.copytree if stored[form].is_dir() else shutil.copy
    data = tmp_path / stored[form].name
    copy(stored[form], data)
    file = data / "images.npy" if data.is_dir() else data
    steps = se.stream(model, data, chunk_rows=100)
    next(steps)
    if how == "replaced":
        shutil.copy(file, tmp_path / "another")
        (tmp_path / "another").replace(file)
    elif how == "removed":
        file.unlink()
    else:
        before = file.stat()
        with file.open("r+b") as opened:
            opened.seek(-1, os.SEEK_END)
            opened.write(b"\x01")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(DataError, match=r"the file changed while it was read"):
        list(steps)


def test_two_python_threads_at_once_are_both_right(model: se.Mlp, stored: dict[str, Any]) -> None:
    jobs = {"arrow": 64, "npy": 7, "arrays": 1000, "idx": 333}
    digest = se.evaluate(model, stored["arrays"]).digest
    found: list[str] = []
    start = threading.Barrier(len(jobs))

    def work(form: str, chunk_rows: int) -> None:
        start.wait()
        for _ in range(10):
            found.append(se.evaluate(model, stored[form], chunk_rows=chunk_rows, threads=2).digest)

    threads = [threading.Thread(target=work, args=job) for job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [digest] * 40


def test_rows_of_bytes_and_of_floats_in_files_evaluate_alike_in_every_format(
    model: se.Mlp, tmp_path: Path
) -> None:
    x, t = small.floats(300, 99), small.soft_targets(300, CLASSES).astype(np.float32)
    digest = se.evaluate(model, (x, t)).digest
    for name in ("soft.arrow", "soft"):
        path = storage.create(
            tmp_path / name, [(x, t)], rows=300, shape=(99,), dtype=np.float32, classes=CLASSES, soft=True
        )
        assert se.evaluate(model, path, chunk_rows=77).digest == digest


def test_a_report_shows_itself_in_one_short_line(model: se.Mlp, x: np.ndarray, t: np.ndarray) -> None:
    report = se.evaluate(model, (x, t))
    assert repr(report) == (
        f"<Report: loss {report.loss} of {report.rows} rows, accuracy {report.accuracy}, digest {report.digest}>"
    )
