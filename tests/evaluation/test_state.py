"""The state is exact: any cut, any order, any merge gives the same integers and the same digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streameval.errors import DataError
from streameval.evaluation.counts import Counts
from streameval.evaluation.names import DataName, ModelName
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Resources
from streameval.evaluation.state import ClassSums, State, fold_classes, fold_losses
from streameval.kernels import folding
from streameval.losses import CrossEntropy

CLASSES = 4
# Ordinary losses, ties, losses below zero (y near 1 with eps > 0) and the largest that count.
LOSSES = st.one_of(
    st.floats(0.0, 20.0),
    st.sampled_from([0.0, 0.5, 2.25, 2.25, 16.118095650958319, -1e-7, -9.9e-4]),
    st.floats(-4_194_303.0, 4_194_303.0),
).map(lambda value: value + 0.0)
PLACES = st.integers(0, CLASSES - 1)
RECORDS = st.lists(st.tuples(LOSSES, PLACES, PLACES, st.integers(0, 60)), max_size=60)
Record = tuple[float, int, int, int]
unhurried = settings(deadline=None)  # the first example compiles
with_and_without_classes = pytest.mark.parametrize(
    "classes", [CLASSES, None], ids=["classes", "losses alone"]
)


def columns(records: list[Record]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Losses, true classes, predicted classes, row numbers."""
    loss, target, guess, rows = zip(*records, strict=True) if records else ((), (), (), ())
    return np.array(loss, float), *(np.array(one, np.int64) for one in (target, guess, rows))


def fold(
    loss: np.ndarray, target: np.ndarray, guess: np.ndarray, rows: np.ndarray, classes: int | None
) -> tuple[State, int | None]:
    """The state of rows, and the first that was left out."""
    sums, left_out = fold_losses(loss, rows)
    return State(sums, None if classes is None else fold_classes(loss, target, guess, classes)), left_out


def state_of(records: list[Record], classes: int | None = CLASSES) -> State:
    state, left_out = fold(*columns(records), classes)
    assert left_out is None
    return state


def report_of(state: State) -> Report:
    """A report of nothing but a state."""
    model = ModelName(None, "0", {"layers": [1, CLASSES], "activations": ["identity"]})
    data = DataName(None, state.rows, 1, CLASSES, "0")
    return Report(state, CrossEntropy(), model, data, Resources(0.0, 0.0, 1, 0, 0))


def leaving_out(state: State, rows: int) -> State:
    return dataclasses.replace(state, sums=dataclasses.replace(state.sums, left_out=rows))


@unhurried
@given(RECORDS)
def test_a_state_holds_what_the_naive_sums_say(records: list[Record]) -> None:
    loss, target, guess, rows = columns(records)
    state = state_of(records)
    assert (state.sums.units, state.sums.units_squared) == naive.sums(loss)
    found = [(one.rows, one.correct, one.units) for one in state.classes]
    assert found == naive.per_class(loss, target, guess, CLASSES)
    assert [list(row) for row in state.confusion] == naive.confusion(target, guess, CLASSES)
    assert list(state.sums.worst) == naive.worst(loss, rows)
    assert state.rows == len(records)
    assert state.classification is not None
    assert state.classification.correct == report_of(state).correct == int((target == guess).sum())
    assert state.sums.smallest == min(loss, default=math.inf)
    assert state.sums.largest == max(loss, default=-math.inf)
    alone = state_of(records, None)
    assert alone.sums == state.sums
    assert (alone.rows, alone.loss) == (state.rows, state.loss)
    assert (alone.classes, alone.confusion, report_of(alone).correct) == ((), Counts(()), None)


@unhurried
@given(RECORDS)
def test_mean_and_standard_deviation_are_the_exact_ones_rounded_once(records: list[Record]) -> None:
    loss = columns(records)[0]
    state = state_of(records)
    n, mean, squares = naive.moments(Fraction(q, naive.UNITS) for q in naive.quantised(loss))
    assert state.loss == (float(mean) if n else None)
    assert state.sums.total == report_of(state).loss_sum == float(mean * n)
    assert state.sums.stddev == (pytest.approx(math.sqrt(squares / (n - 1)), rel=1e-15) if n > 1 else None)
    stderr = pytest.approx(math.sqrt(squares / (n - 1) / n), rel=1e-15) if n > 1 else None
    assert report_of(state).stderr == stderr


@unhurried
@given(RECORDS)
def test_rounding_to_2_to_the_minus_40_moves_no_mean_by_more_than_half_a_unit(records: list[Record]) -> None:
    n, mean, _ = naive.moments(columns(records)[0])
    if n:
        assert abs(Fraction(state_of(records).sums.units, n * naive.UNITS) - mean) <= Fraction(
            1, 2 * naive.UNITS
        )


@with_and_without_classes
@unhurried
@given(RECORDS, st.integers(0, 60))
def test_a_state_does_not_depend_on_where_the_rows_are_cut(
    classes: int | None, records: list[Record], cut: int
) -> None:
    """Both halves of any cut, empty and one-row ones too."""
    merged = state_of(records[:cut], classes) + state_of(records[cut:], classes)
    assert merged == state_of(records, classes)
    assert merged.digest == state_of(records, classes).digest


@with_and_without_classes
@unhurried
@given(RECORDS, st.randoms(use_true_random=False))
def test_a_state_does_not_depend_on_the_order_of_the_rows(
    classes: int | None, records: list[Record], random
) -> None:
    shuffled = records.copy()
    random.shuffle(shuffled)
    assert state_of(shuffled, classes) == state_of(records, classes)


@with_and_without_classes
@unhurried
@given(RECORDS, RECORDS, RECORDS)
def test_states_merge_in_any_order_and_the_empty_one_is_zero(
    classes: int | None, a: list[Record], b: list[Record], c: list[Record]
) -> None:
    one, two, three = state_of(a, classes), state_of(b, classes), state_of(c, classes)
    assert (one + two) + three == one + (two + three) == three + one + two
    assert one + State.empty(classes) == one == State.empty(classes) + one
    assert state_of([], classes) == State.empty(classes)


@with_and_without_classes
@unhurried
@given(RECORDS)
def test_a_state_comes_back_from_json_as_it_was(classes: int | None, records: list[Record]) -> None:
    state = state_of(records, classes)
    again = State.from_dict(json.loads(json.dumps(state.to_dict())))
    assert again == state
    assert again.digest == state.digest


@with_and_without_classes
@unhurried
@given(RECORDS, st.integers(1, 9))
def test_rows_are_folded_in_blocks_without_a_seam(
    classes: int | None, records: list[Record], most: int
) -> None:
    whole = state_of(records, classes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "MOST_ROWS", most)
        assert state_of(records, classes) == whole


@pytest.mark.parametrize("sign", [1, -1])
def test_as_many_of_the_largest_losses_as_a_block_holds_do_not_overflow(sign: int) -> None:
    n = folding.MOST_ROWS + 3
    largest = sign * np.nextafter(2.0**22, 0.0)
    zeros = np.zeros(n, np.int64)
    state, left_out = fold(np.full(n, largest), zeros, zeros, np.arange(n), CLASSES)
    units = round(Fraction(largest) * naive.UNITS)
    assert left_out is None
    assert (state.sums.units, state.sums.units_squared) == (n * units, n * units**2)
    assert state.classes[0].units == n * units
    assert state.sums.stddev == 0.0
    assert [row for _, row in state.sums.worst] == list(range(10))


def test_each_limb_of_the_sum_of_squares_is_in_its_place() -> None:
    """Single losses of one bit each, and of all bits up to it."""
    for bit in range(62):
        for units in (1 << bit, (2 << bit) - 1, -(1 << bit), -((2 << bit) - 1)):
            value = float(Fraction(units, naive.UNITS))
            if abs(value) < 2.0**22:
                expected = naive.sums([value])
                state = state_of([(value, 0, 0, 0)])
                assert (state.sums.units, state.sums.units_squared) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**22, -(2.0**22), 1e300])
def test_a_loss_that_is_not_finite_or_too_large_is_left_out_and_counted(value: float) -> None:
    good = [(1.0, 0, 1, 10), (2.0, 2, 2, 11)]
    loss, target, guess, rows = columns([good[0], (5.0, 3, 3, 77), good[1], (5.0, 1, 1, 78)])
    loss[[1, 3]] = value
    state, left_out = fold(loss, target, guess, rows, CLASSES)
    assert left_out == 77
    assert state.sums.left_out == 2
    assert leaving_out(state, 0) == state_of(good)
    assert (state + state).sums.left_out == 4
    alone, first = fold(loss, target, guess, rows, None)
    assert (alone.sums, first) == (state.sums, 77)


def test_the_first_row_left_out_is_found_in_whichever_block_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MOST_ROWS", 3)
    loss = np.ones(10)
    loss[[7, 8]] = math.nan
    zeros = np.zeros(10, np.int64)
    assert fold(loss, zeros, zeros, np.arange(100, 110), CLASSES)[1] == 107


def test_of_equal_losses_those_of_the_first_rows_are_remembered() -> None:
    rows = np.random.default_rng(0).permutation(200)
    zeros = np.zeros(200, np.int64)
    state, _ = fold(np.where(rows % 20 == 3, 7.0, 1.0), zeros, zeros, rows, CLASSES)
    assert state.sums.worst == tuple((7.0, row) for row in range(3, 203, 20))


def test_a_row_that_came_twice_counts_twice() -> None:
    state = state_of([(1.0, 0, 0, 5), (3.0, 1, 0, 6), (1.0, 0, 0, 5)])
    assert (state.rows, report_of(state).correct, state.loss) == (3, 2, 5 / 3)
    assert state.sums.worst == ((3.0, 6), (1.0, 5), (1.0, 5))


BASE = [(1.0, 0, 0, 5), (3.0, 1, 2, 6), (0.25, 3, 3, 7)]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ([(1.0 + 2.0**-40, 0, 0, 5), *BASE[1:]], "one unit of one loss"),
        ([(1.0, 1, 1, 5), *BASE[1:]], "a class"),
        ([(1.0, 0, 3, 5), *BASE[1:]], "a prediction"),
        ([(1.0, 0, 0, 4), *BASE[1:]], "a row number among the worst"),
        (BASE[:2], "a row missing"),
        ([*BASE, BASE[0]], "a row repeated"),
        ([(0.5, 0, 0, 5), (3.5, 1, 2, 6), BASE[2]], "two losses with the same sum"),
    ],
)
def test_the_digest_tells_apart(changed: list[Record], name: str) -> None:
    assert state_of(changed).digest != state_of(BASE).digest, name


def test_the_digest_tells_rows_left_out() -> None:
    state = state_of(BASE)
    assert leaving_out(state, 1).digest != state.digest


def test_the_digest_is_that_of_exact_integers_pinned_here() -> None:
    """Losses of 1, 3 and 1/4: reports and checkpoints of other versions hold this digest for them."""
    written = (
        '{"classes": [[1, 1, 1099511627776], [1, 0, 3298534883328], [0, 0, 0], [1, 1, 274877906944]], '
        '"confusion": [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]], '
        '"largest": "0x1.8000000000000p+1", "left_out": 0, "smallest": "0x1.0000000000000p-2", '
        '"units": 4672924418048, "units_squared": 12164816059872206070480896, '
        '"worst": [["0x1.8000000000000p+1", 6], ["0x1.0000000000000p+0", 5], ["0x1.0000000000000p-2", 7]]}'
    )
    assert state_of(BASE).digest == hashlib.sha256(written.encode()).hexdigest()


def test_states_of_different_classes_do_not_merge() -> None:
    with pytest.raises(DataError, match=r"states of 4 and 5 classes cannot be joined"):
        State.empty(4) + State.empty(5)


def test_a_state_with_classes_and_one_without_do_not_merge() -> None:
    """Not even where the losses are the same, or where there are no rows."""
    for records in (BASE, []):
        one, other = state_of(records), state_of(records, None)
        assert one != other
        assert one.digest != other.digest
        for first, second in ((one, other), (other, one)):
            with pytest.raises(DataError, match="with classes and one without cannot be joined"):
                first + second


def test_the_digest_of_losses_without_classes_is_that_of_exact_integers_pinned_here() -> None:
    written = (
        '{"largest": "0x1.8000000000000p+1", "left_out": 0, "rows": 3, "smallest": "0x1.0000000000000p-2", '
        '"units": 4672924418048, "units_squared": 12164816059872206070480896, '
        '"worst": [["0x1.8000000000000p+1", 6], ["0x1.0000000000000p+0", 5], ["0x1.0000000000000p-2", 7]]}'
    )
    assert state_of(BASE, None).digest == hashlib.sha256(written.encode()).hexdigest()


def test_above_1024_classes_there_is_no_confusion_matrix_and_all_else() -> None:
    classes = 1025
    target = np.array([0, 1024, 1024])
    state, _ = fold(np.array([1.0, 2.0, 4.0]), target, np.array([0, 3, 1024]), np.arange(3), classes)
    assert len(state.confusion) == 0
    assert state.classes[1024] == ClassSums(2, 1, 6 * naive.UNITS)
    assert (state + State.empty(classes)) == state


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("units"),
        lambda d: d.update(units="many"),
        lambda d: d.update(classes=[[1, 2]] * 3 + [["a", 1, 1]]),
        lambda d: d.update(classes=[[1, 2, 3, 4]]),
        lambda d: d.update(smallest=3),
        lambda d: d.update(worst=[["0x1p+0"]]),
        lambda d: d.update(confusion=5),
        lambda d: d.update(confusion=[[1, 2]]),
        lambda d: d.update(confusion=[[1, 2], [3]]),
        lambda d: d.update(confusion=[[1 << 63]]),
    ],
)
def test_a_damaged_stored_state_is_refused(damage) -> None:
    stored = state_of(BASE).to_dict()
    damage(stored)
    with pytest.raises(DataError, match=r"a stored state is damaged.*Compute it again"):
        State.from_dict(stored)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("rows"),
        lambda d: d.pop("units"),
        lambda d: d.update(rows="many"),
        lambda d: d.update(smallest=3),
        lambda d: d.update(classes=[]),
    ],
)
def test_a_damaged_stored_state_without_classes_is_refused(damage) -> None:
    stored = state_of(BASE, None).to_dict()
    damage(stored)
    with pytest.raises(DataError, match=r"a stored state is damaged.*Compute it again"):
        State.from_dict(stored)


def test_a_class_without_rows_has_neither_loss_nor_accuracy() -> None:
    one = state_of(BASE).classes
    assert (one[2].loss, one[2].accuracy) == (None, None)
    assert (one[1].loss, one[1].accuracy) == (3.0, 0.0)


def test_zero_has_no_sign() -> None:
    """The smaller, or larger, of 0.0 and -0.0 would depend on the order of the rows."""
    rows = np.arange(2)
    sums = [fold_losses(np.array(losses), rows)[0] for losses in ([0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0])]
    assert {json.dumps(one.to_dict()) for one in sums} == {
        json.dumps(fold_losses(np.zeros(2), rows)[0].to_dict())
    }


@pytest.mark.parametrize("at", [0, 255, 256, 700])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.0**22])
def test_the_first_row_that_is_left_out_is_named_wherever_it_is(at: int, value: float) -> None:
    losses, rows = np.full(1000, 0.5), np.arange(1000) + 5
    losses[[at, 900]] = value
    sums, first = fold_losses(losses, rows)
    assert (sums, first) == fold_losses(losses, range(5, 1005))
    assert first == at + 5
    assert (sums.rows, sums.left_out, sums.worst[0]) == (998, 2, (0.5, 6 if at == 0 else 5))


def test_a_range_numbers_rows_as_an_array_of_them_does() -> None:
    """Beyond as many rows as are folded at a time, too."""
    n = folding.MOST_ROWS + 1000
    losses = np.random.default_rng(5).exponential(size=n)
    losses[[3, n - 7]] = math.nan, 1e6
    for first in (0, 1 << 40):
        found = fold_losses(losses, range(first, first + n))
        assert found == fold_losses(losses, np.arange(first, first + n))
        assert (found[1], found[0].worst[0]) == (first + 3, (1e6, first + n - 7))


@pytest.mark.parametrize("outside", [-1, 4, 1 << 62, -(1 << 62)])
@pytest.mark.parametrize("which", [0, 1])
def test_a_class_that_is_none_is_refused_and_nothing_written_by_it(which: int, outside: int) -> None:
    """Where the loss counts; a row that is left out may have any."""
    name = ("true", "predicted")[which]
    losses, classes = np.array([0.5, 1.0, 2.0]), [np.array([0, 1, 3]), np.array([3, 1, 0])]
    classes[which][1] = outside
    with pytest.raises(DataError, match=rf"a {name} class is {outside}, expected 0\.\.3"):
        fold_classes(losses, *classes, 4)
    for left_out in (np.nan, np.inf, folding.TOO_LARGE):
        losses[1] = left_out
        assert sum(one.rows for one in fold_classes(losses, *classes, 4).classes) == 2


@pytest.mark.parametrize("outside", [-1, 2000, -(1 << 62)])
@pytest.mark.parametrize("which", [0, 1])
def test_nor_where_there_is_no_table_of_predictions(which: int, outside: int) -> None:
    classes = [np.array([0, 1999]), np.array([1999, 0])]
    classes[which][1] = outside
    with pytest.raises(DataError, match=rf"class is {outside}, expected 0\.\.1999"):
        fold_classes(np.ones(2), *classes, 2000)
