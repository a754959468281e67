"""Metrics are exact: whatever the batches, their order and the processes, the same bits; and what a twin says."""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
import threading
from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streameval as se
from streameval.errors import DataError, LabelError, StreamevalWarning, UsageError
from streameval.metrics import Accuracy, CrossEntropy, Mean, merge

unhurried = settings(deadline=None, max_examples=40)  # the first example compiles


def fed(metric: Any, batches: Any, *arrays: np.ndarray, rows: bool = False) -> Any:
    """The metric after batches of rows, each a list of their numbers."""
    for batch in batches:
        index = np.asarray(batch, np.int64)
        metric.update(*(one[index] for one in arrays), **({"rows": index} if rows else {}))
    return metric


def cut(order: list[int], at: list[int]) -> list[list[int]]:
    """An order of rows in batches, empty ones among them."""
    ends = sorted(at)
    return [order[a:b] for a, b in zip([0, *ends], [*ends, len(order)], strict=True)]


def twin(logits: np.ndarray, labels: np.ndarray, eps: float) -> np.ndarray:
    """The losses row by row, with Python's own functions."""
    out = []
    for row, k in zip(logits.astype(float).tolist(), labels.tolist(), strict=True):
        top = max(row)
        log_y = row[k] - top - math.log(math.fsum(math.exp(one - top) for one in row))
        out.append(-(math.log(math.exp(log_y) + eps) if eps else log_y))
    return np.array(out)


@pytest.mark.parametrize("eps", [1e-7, 0.0])
def test_a_metric_is_the_mean_of_the_losses(logits: np.ndarray, labels: np.ndarray, eps: float) -> None:
    found = fed(
        CrossEntropy(eps=eps), cut([*range(len(labels))], [50, 51, 51, 160]), logits, labels
    ).compute()
    losses = twin(logits, labels, eps)
    assert found.loss == pytest.approx(losses.mean(), rel=1e-12)
    assert float(found) == found.loss
    assert found.stddev == pytest.approx(losses.std(ddof=1), rel=1e-9)
    assert found.stderr == pytest.approx(losses.std(ddof=1) / math.sqrt(len(losses)), rel=1e-9)
    assert (found.rows, found.correct) == (len(labels), int((logits.argmax(1) == labels).sum()))
    assert found.accuracy == found.correct / found.rows
    assert found.interval.low < found.loss < found.interval.high
    assert found.accuracy_interval.low < found.accuracy < found.accuracy_interval.high
    assert [(one["rows"], one["class"]) for one in found.to_dict()["per_class"]] == [
        (int((labels == k).sum()), k) for k in range(logits.shape[1])
    ]
    json.dumps(found.to_dict())


@unhurried
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 203), max_size=12), st.integers(1, 4))
def test_any_order_any_batches_and_any_processes_give_the_same_bits(
    random: Any, at: list[int], processes: int
) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(203, 7)).astype(np.float32) * 10
    labels = generator.integers(0, 7, 203)
    order = [*range(203)]
    random.shuffle(order)
    batches = cut(order, at)
    whole = CrossEntropy()
    whole.update(logits, labels)
    parts = [fed(CrossEntropy(), batches[k::processes], logits, labels) for k in range(processes)]
    random.shuffle(parts)
    joined = merge([pickle.loads(pickle.dumps(one)) for one in parts])
    assert joined.compute().digest == whole.compute().digest
    assert joined.compute() == whole.compute()
    # With the numbers of the rows, and some of them again, the same, and the worst rows are known.
    again = [*batches, order[:30]]
    numbered = fed(CrossEntropy(), again, logits, labels, rows=True).compute()
    straight = fed(CrossEntropy(), [[*range(203)]], logits, labels, rows=True).compute()
    assert numbered.digest == straight.digest
    assert (numbered.rows, numbered.repeated, numbered.disagreement) == (203, 30, 0.0)
    assert numbered.loss == whole.compute().loss


@unhurried
@given(
    st.integers(2, 70), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(["<f4", "<f8", "<f2"])
)
def test_a_row_costs_the_same_alone_and_among_others(classes: int, n: int, seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    # Turned around in memory: the order of sums must not follow the strides.
    logits = np.asfortranarray((random.normal(size=(n, classes)) * 20).astype(kind))
    labels = random.integers(0, classes, n)
    whole, alone = CrossEntropy(eps=0), CrossEntropy(eps=0)
    whole.update(logits, labels)
    for k in range(n):
        alone.update(logits[k : k + 1], labels[k : k + 1])
    assert whole.compute() == alone.compute()


@pytest.mark.parametrize("numbered", [False, True])
def test_threads_that_share_a_metric_lose_no_row(
    logits: np.ndarray, labels: np.ndarray, numbered: bool
) -> None:
    """Threads change after every few instructions here, and two of them look at what there is meanwhile."""
    made, count, failed = CrossEntropy(), len(labels), list[BaseException]()

    def give(first: int) -> None:
        try:
            for k in range(first, count, 8):
                rows = np.arange(k, k + 1) if numbered else None
                made.update(logits[k : k + 1], labels[k : k + 1], rows=rows)
                if first < 2:
                    made.compute()
        except BaseException as error:
            failed.append(error)

    threads, usual = [threading.Thread(target=give, args=(k,)) for k in range(8)], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(usual)
    alone = CrossEntropy()
    alone.update(logits, labels, rows=np.arange(count) if numbered else None)
    assert failed == []
    assert made.compute(total_rows=count).digest == alone.compute().digest


def test_the_digest_is_that_of_an_evaluation_of_the_same_outputs(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    report = se.evaluate(lambda x: x, (logits, labels))
    metric = fed(CrossEntropy(), [[*range(100, 203)], [*range(100)], [5, 6]], logits, labels, rows=True)
    found = metric.compute()
    assert found.digest == report.digest
    assert found.to_dict()["worst"] == report.to_dict()["worst"]


def test_probabilities_one_hot_rows_and_class_numbers_mean_the_same(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    y = np.exp(logits.astype(float) - logits.max(1, keepdims=True))
    y /= y.sum(1, keepdims=True)
    from_logits = fed(CrossEntropy(), [range(203)], logits, labels).compute()
    from_probabilities = fed(CrossEntropy(probabilities=True), [range(203)], y, labels).compute()
    assert from_probabilities.loss == pytest.approx(from_logits.loss, rel=1e-12)
    assert from_probabilities.loss == pytest.approx(se.cross_entropy_error(y, labels), rel=1e-12)
    one_hot = fed(CrossEntropy(), [range(203)], logits, np.eye(7)[labels]).compute()
    assert one_hot.digest == from_logits.digest
    shares = [Accuracy(), Accuracy(), Accuracy(top_k=3)]
    shares[0].update(logits, labels)
    shares[1].update(logits.argmax(1), labels)
    assert shares[0].compute() == shares[1].compute()
    assert float(shares[0].compute()) == from_logits.accuracy
    shares[2].update(logits, labels)
    ranks = [
        sorted(range(7), key=lambda k: (-row[k], k)).index(t) for row, t in zip(logits, labels, strict=True)
    ]
    assert shares[2].compute().correct == sum(rank < 3 for rank in ranks)
    assert shares[2].compute().interval.method == "clopper-pearson"


def test_no_end_of_few_rows_lies_where_no_loss_can() -> None:
    logits, labels = np.array([[30.0, 0.0], [9.0, 0.0], [0.0, 9.0]]), np.array([0, 0, 0])
    for eps, most in ((1e-7, -math.log(1e-7)), (1e-4, -math.log(1e-4)), (0.0, math.inf)):
        metric = se.metrics.CrossEntropy(eps=eps)
        metric.update(logits, labels)
        found = metric.compute()
        interval = found.interval_at(0.99)
        assert (interval.low, interval.high <= most) == (pytest.approx(0.0, abs=1.1 * eps), True)
        assert interval.low < found.loss < interval.high
    heavy = se.metrics.CrossEntropy()
    heavy.update(logits, np.array([[0.0, 3.0], [0.0, 3.0], [0.0, 3.0]]))
    assert heavy.compute().interval.high > -math.log(1e-7)
    free = se.metrics.Mean()
    free.update(np.array([0.0, 0.0, 1.0]))
    assert free.compute().interval.low < 0.0


def test_of_equal_outputs_the_first_classes_count() -> None:
    flat = np.zeros((4, 4))
    for k in range(1, 5):
        metric = Accuracy(top_k=k)
        metric.update(flat, np.arange(4))
        assert metric.compute().correct == k


def test_rows_that_do_not_count_are_left_out(logits: np.ndarray, labels: np.ndarray) -> None:
    marked = labels.copy()
    marked[::3] = -100
    kept = labels[marked != -100]
    for one, other in (
        (CrossEntropy(ignore_index=-100), CrossEntropy()),
        (Accuracy(ignore_index=-100), Accuracy()),
    ):
        one.update(logits, marked)
        other.update(logits[marked != -100], kept)
        assert one.compute() == other.compute()
    metric = CrossEntropy(ignore_index=-100)
    metric.update(logits[:2], np.array([-100, -100]))
    assert metric.compute().rows == 0
    assert metric.compute().loss is None
    with pytest.raises(DataError, match="no rows"):
        float(metric.compute())


def test_a_mean_of_values_computed_elsewhere(logits: np.ndarray, labels: np.ndarray) -> None:
    losses = naive_losses = twin(logits, labels, 0.0)
    metric = Mean()
    for part in np.array_split(losses, 5):
        metric.update(part)
    assert metric.compute().state.sums.units == naive.sums(naive_losses)[0]
    with pytest.raises(UsageError, match='reduction="none"'):
        metric.update(losses.mean())


def test_a_state_goes_through_pickle_json_copies_and_reset(logits: np.ndarray, labels: np.ndarray) -> None:
    for rows in (False, True):
        metric = fed(CrossEntropy(eps=1e-3), [range(90), range(90, 203)], logits, labels, rows=rows)
        before = metric.compute()
        others = [pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), CrossEntropy(eps=1e-3)]
        others[2].load_state_dict(json.loads(json.dumps(metric.state_dict())))
        for other in others:
            assert other.compute() == before
            fed(other, [[1, 2]], logits, labels, rows=rows)
            assert other.compute().rows == (203 if rows else 205)
        assert metric.compute() == before
        metric.reset()
        assert metric.compute().rows == 0
        fed(metric, [[0]], logits[:, :3], labels % 3, rows=rows)  # other classes are no matter now
        with pytest.raises(UsageError, match="other settings"):
            CrossEntropy(eps=0).load_state_dict(metric.state_dict())


@pytest.mark.parametrize("rows", [False, True])
def test_a_damaged_state_is_refused(logits: np.ndarray, labels: np.ndarray, rows: bool) -> None:
    metric = fed(CrossEntropy(), [range(50)], logits, labels, rows=rows)
    stored = metric.state_dict()
    damage = [{"schema": "x"}, {"gathered": {}}, {"classes": 3}, {"origins": 3}, {"gathered": 5}]
    for change in damage:
        fresh = CrossEntropy()
        with pytest.raises(DataError):
            fresh.load_state_dict({**stored, **change})
        assert fresh.compute().rows == 0
    with pytest.raises(DataError):
        CrossEntropy().load_state_dict({})
    if not rows:
        stored["gathered"]["state"]["units_squared"] = 1
        with pytest.raises(DataError, match="no rows come to"):
            CrossEntropy().load_state_dict(stored)


def test_nobodys_rows_count_twice(logits: np.ndarray, labels: np.ndarray) -> None:
    mine = fed(CrossEntropy(), [range(90)], logits, labels)
    theirs = fed(CrossEntropy(), [range(90, 203)], logits, labels)
    gathered = pickle.loads(pickle.dumps([mine, theirs]))
    assert merge(gathered).compute(total_rows=203).rows == 203
    assert (mine + theirs).compute() == merge(gathered).compute()
    for twice in (lambda: mine.merge(gathered), lambda: merge([*gathered, theirs]), lambda: mine + mine):
        with pytest.raises(UsageError, match="in this one already"):
            twice()
    assert mine.compute().rows == 90
    # Copies of one that has no rows yet are of their own.
    empty = CrossEntropy()
    copies = [copy.deepcopy(empty), copy.deepcopy(empty)]
    assert merge([fed(one, [[0, 1]], logits, labels) for one in copies]).compute().rows == 4
    # With numbers of rows it does no harm.
    numbered = fed(CrossEntropy(), [range(90)], logits, labels, rows=True)
    assert merge([numbered, numbered]).compute().rows == 90


def test_a_count_of_rows_that_is_not_the_expected_one_is_told(logits: np.ndarray, labels: np.ndarray) -> None:
    metric = fed(CrossEntropy(), [range(90)], logits, labels)
    assert metric.compute(total_rows=90).rows == 90
    with pytest.raises(DataError, match="Merge the metrics of all processes"):
        metric.compute(total_rows=91)
    with pytest.raises(DataError, match="rows="):
        metric.compute(total_rows=89)


def test_a_row_with_different_results_is_refused_or_told(logits: np.ndarray, labels: np.ndarray) -> None:
    moved = logits[:9].copy()

    def again(change: float, turned: bool = False, **settings: Any) -> Any:
        metric = CrossEntropy(eps=0, **settings)
        moved[4] = logits[4]
        moved[4, labels[4]] += change
        for outputs in (moved, logits[:9]) if turned else (logits[:9], moved):
            metric.update(outputs, labels[:9], rows=np.arange(9))
        return metric.compute()

    told = again(1e-3)
    assert (told.rows, told.repeated) == (9, 9)
    assert 0 < told.disagreement < 2e-3
    # The smaller one counts, whichever came first.
    assert told == again(1e-3, turned=True)
    assert again(-1e-3) == again(-1e-3, turned=True)
    assert again(1e-3).loss < again(0.0).loss == again(-1e-3).loss
    with pytest.raises(DataError, match=r"row 4 came more than once.*repeats_within=0.01"):
        again(-5.0)
    assert again(-5.0, repeats_within=10).disagreement > 1
    places = fed(CrossEntropy(), [range(9)], logits, labels, rows=True)
    places.update(logits[9:18], labels[9:18], rows=np.arange(9))  # the places in the batch: a common mistake
    with pytest.raises(DataError, match="not places in the batch"):
        places.compute()
    with pytest.raises(UsageError, match="always, or never"):
        places.update(logits[:3], labels[:3])


BAD: list[tuple[str, type[Exception], str, Any]] = [
    ("one row", UsageError, r"outputs\[None\]", lambda z, t: (z[0], t[:1])),
    ("sequences", UsageError, "movedim", lambda z, t: (z[:202].reshape(101, 2, 7), t[:202].reshape(101, 2))),
    ("one number a row", UsageError, "stack", lambda z, t: (z[:, :1], t)),
    ("fewer targets", UsageError, "shape", lambda z, t: (z, t[:5])),
    ("a column of targets", UsageError, "reshape", lambda z, t: (z, t[:, None])),
    ("targets as floats", UsageError, "long", lambda z, t: (z, t.astype(np.float32))),
    ("a label too large", LabelError, "label 7 .*classes 0 to 6", lambda z, t: (z, np.where(t == 0, 7, t))),
    ("a label for padding", LabelError, "ignore_index=-100", lambda z, t: (z, np.where(t == 0, -100, t))),
    ("NaN", DataError, "row 3 of the batch", lambda z, t: (np.where(np.arange(203)[:, None] == 3, np.nan, z), t)),
    ("infinity", DataError, "row 3 of", lambda z, t: (np.where(np.arange(203)[:, None] == 3, np.inf, z), t)),
    ("a row of -inf", DataError, "row 3 of", lambda z, t: (np.where(np.arange(203)[:, None] == 3, -np.inf, z), t)),
    ("an impossible class", DataError, "probability 0", lambda z, t: (np.where(np.eye(7)[t] > 0, -np.inf, z), t)),
    ("negative weights", DataError, "negative", lambda z, t: (z, -np.eye(7)[t])),
    ("text", DataError, "expected numbers", lambda z, t: (z.astype(str), t)),
    ("ragged rows", DataError, "does not become an array", lambda z, t: ([[1.0, 2.0], [1.0]], t[:2])),
    ("masked rows", DataError, "masked", lambda z, t: (np.ma.masked_less(z, 0), t)),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message", "spoil"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(
    logits: np.ndarray, labels: np.ndarray, error: type[Exception], message: str, spoil: Any
) -> None:
    metric = fed(CrossEntropy(eps=0), [range(20)], logits, labels)
    before = metric.compute()
    with pytest.raises(error, match=message):
        metric.update(*spoil(logits, labels))
    assert metric.compute() == before


def test_other_refusals(logits: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(DataError, match="probabilities=False"):
        CrossEntropy(probabilities=True).update(logits, labels)
    with pytest.raises(UsageError, match="unexpected keyword"):
        CrossEntropy(epsilon=0.1)
    for settings_ in ({"eps": -1}, {"repeats_within": -1}, {"probabilities": 1}, {"ignore_index": 0.5}):
        with pytest.raises(UsageError):
            CrossEntropy(**settings_)
    metric = fed(CrossEntropy(), [range(20)], logits, labels)
    with pytest.raises(DataError, match="5 classes, but of 7"):
        metric.update(logits[:, :5], labels % 5)
    with pytest.raises(UsageError, match="expected a CrossEntropy"):
        metric.merge(Accuracy())
    with pytest.raises(UsageError, match="list of metrics"):
        merge([])
    for rows in (np.arange(3), np.arange(20) - 1, np.arange(20.0)):
        with pytest.raises((UsageError, DataError), match="rows"):
            CrossEntropy().update(logits[:20], labels[:20], rows=rows)
    with pytest.raises(DataError, match="NaN"):
        Accuracy().update(logits * np.nan, labels)
    with pytest.raises(UsageError, match="top_k=2"):
        Accuracy(top_k=2).update(labels, labels)


def test_probabilities_where_logits_were_said_are_told_and_counted_as_logits() -> None:
    y = naive.softmax(np.random.default_rng(0).normal(size=(20, 3)))
    metric = CrossEntropy()
    with pytest.warns(
        StreamevalWarning, match=r"outputs: rows .*of sum 1 are taken as logits.*: probabilities=True"
    ):
        metric.update(y, np.arange(20) % 3)
    assert float(metric.compute()) == pytest.approx(
        naive.cross_entropy(y, np.arange(20) % 3, 1e-7).mean(), rel=1e-12
    )
    y[13, 0] += 0.01
    metric.update(y, np.arange(20) % 3)


def test_many_classes_are_computed_in_pieces() -> None:
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=(40, 100_003)).astype(np.float32), random.integers(0, 100_003, 40)
    metric = CrossEntropy(eps=0)
    metric.update(logits, labels)
    assert metric.compute().loss == pytest.approx(twin(logits, labels, 0.0).mean(), rel=1e-12)
