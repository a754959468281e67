"""Runs are joined on their ids: whole, in any order, and what does not match is counted and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streameval as se
from streameval.errors import DataError, UsageError


def run(values: Any, ids: Any = None, **more: Any) -> Any:
    columns = {"v": np.array(values, float)} | ({} if ids is None else {"id": np.array(ids)})
    columns |= {name: np.array(value) for name, value in more.items()}
    return se.open_outputs(
        columns, loss="v", row_id=None if ids is None else "id", group="g" if "g" in more else None
    )


PAIRS = st.dictionaries(
    st.one_of(
        st.integers(-(10**18) + 1, 10**18 - 1).map(str), st.text(max_size=4).filter(lambda s: "\0" not in s)
    ),
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    min_size=1,
    max_size=30,
)


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_difference_is_that_of_the_pairs_in_any_order(pairs: Any, random: Any) -> None:
    ids = list(pairs)
    shuffled = random.sample(ids, len(ids))
    first = run([pairs[i][0] for i in ids], np.array(ids, object))
    second = run([pairs[i][1] for i in shuffled], np.array(shuffled, object))
    joined = se.join_outputs([first, second])
    assert joined.values.tolist() == [[pairs[i][0], pairs[i][1]] for i in ids]
    expected = sum(b - a for a, b in pairs.values()) / len(pairs)
    assert se.paired(joined).mean == pytest.approx(expected, abs=1e-9)


def test_whole_numbers_are_the_same_ids_in_any_type() -> None:
    texts, floats = run([1, 2, 3], ["7", "-8", "9"]), run([3, 2, 1], [9.0, -8.0, 7.0])
    numbers = run([2, 3, 1], np.array([-8, 9, 7], np.int16))
    joined = se.join_outputs([texts, floats, numbers])
    assert joined.values.tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    # A table that held them as floats writes them so.
    written = run([2, 3, 1], ["-8.0", "9.0", "7.0"])
    assert se.join_outputs([texts, written]).values.tolist() == [[1, 1], [2, 2], [3, 3]]
    with pytest.raises(DataError, match="0 rows match"):
        se.join_outputs([run([1], ["1.00"]), run([1], ["1"])])
    # 007 and 7 are two names.
    with pytest.raises(DataError, match="0 rows match"):
        se.join_outputs([run([1], ["007"]), run([1], ["7"])])


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, object, str])
def test_ids_of_many_digits_are_the_same_in_any_type(dtype: Any) -> None:
    """From 19 digits on an id is its text, in arrays of integers too, and none wraps around."""
    ids = [10**18 - 1, 10**18, 2**63 - 1, *([2**63, 2**64 - 1] if dtype is not np.int64 else []), 7]
    texts, numbers = (
        run(range(len(ids)), [str(one) for one in ids]),
        run(range(len(ids)), np.array(ids, dtype)),
    )
    joined = se.join_outputs([texts, numbers])
    assert joined.values.tolist() == [[k, k] for k in range(len(ids))]
    assert [numbers.ids.name(k) for k in range(len(ids))] == [str(one) for one in ids]
    # What wrapped around would be.
    if dtype is np.uint64:
        with pytest.raises(DataError, match="0 rows match"):
            se.join_outputs([run([1], ["-1"]), run([1], np.array([2**64 - 1], dtype))])


def test_large_negative_ids_are_the_same_in_any_type() -> None:
    ids = [-(10**18), 1 - 10**18, -(2**63), -1]
    joined = se.join_outputs(
        [run(range(4), [str(one) for one in ids]), run(range(4), np.array(ids, np.int64))]
    )
    assert joined.values.tolist() == [[k, k] for k in range(4)]


def test_rows_without_their_like_are_counted_and_named() -> None:
    first, second = run([0] * 20, range(20)), run([1] * 19, [*range(1, 19), 99])
    joined = se.join_outputs([first, second])
    assert joined.joined == {
        "rows": 18,
        "by": ["id"],
        "runs": [
            {"path": None, "rows": 20, "unmatched": 2, "repeated": 0, "left_out": 0, "examples": ["0", "19"]},
            {"path": None, "rows": 19, "unmatched": 1, "repeated": 0, "left_out": 0, "examples": ["99"]},
        ],
    }


def test_too_few_matches_are_refused_unless_that_is_said() -> None:
    first, second = run([0] * 10, range(10)), run([1] * 10, range(5, 15))
    with pytest.raises(
        DataError,
        match=r"5 rows match, expected 90% of each run.*ids '0', '1', '2', \.\.\..*least_joined=0.5",
    ):
        se.paired([first, second])
    assert se.paired(se.join_outputs([first, second], least_joined=0.5)).rows_read == 5
    with pytest.raises(DataError, match="0 rows match"):
        se.join_outputs([first, run([1], [77])], least_joined=0.0)


def test_repeated_ids_are_joined_with_none() -> None:
    first, second = run([0] * 20, range(20)), run([1] * 21, [*range(20), 3])
    joined = se.join_outputs([first, second])
    assert joined.rows == 19
    assert [one["repeated"] for one in joined.joined["runs"]] == [0, 2]
    assert [one["unmatched"] for one in joined.joined["runs"]] == [1, 0]


def test_several_columns_are_one_id() -> None:
    columns = {"loss": np.arange(4.0), "a": np.array(["x", "x", "y", "y"]), "b": np.array([1, 2, 1, 2])}
    first = se.open_outputs(columns, row_id="a,b")
    second = se.open_outputs({name: values[::-1] for name, values in columns.items()}, row_id=["a", "b"])
    assert se.paired([first, second]).mean == 0.0
    assert first.ids.name(1) == "x, 2"


def test_without_ids_rows_are_joined_by_their_place() -> None:
    joined = se.join_outputs([run([1, 2]), run([3, 4])])
    assert joined.joined["by"] is None
    assert joined.values.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(DataError, match=r"has 2.*has 3 rows.*row_id="):
        se.join_outputs([run([1, 2]), run([1, 2, 3])])
    with pytest.raises(UsageError, match=r"no row ids, but other runs have some.*--row-id"):
        se.join_outputs([run([1, 2]), run([1, 2], [0, 1])])


def test_losses_are_not_compared_with_scores_or_logits() -> None:
    loss = se.open_outputs({"v": np.array([0.5])}, loss="v")
    score = se.open_outputs({"v": np.array([0.5])}, score="v")
    logits = se.open_outputs({"z": np.array([[0.5, 1.0]]), "t": np.array([1])}, logits="z", label="t")
    for other in (score, logits):
        with pytest.raises(UsageError, match="they cannot be compared"):
            se.paired([loss, other])
    with pytest.raises(UsageError, match="1 runs of saved outputs: at least two"):
        se.paired([loss])


def test_logits_of_two_runs_are_compared_by_class_and_their_labels_must_agree() -> None:
    rng = np.random.default_rng(5)
    t, z = rng.integers(0, 3, 60), rng.normal(size=(60, 3))
    ids, better = np.arange(60), z + 2.0 * np.eye(3)[t]
    first = se.open_outputs({"z": z, "t": t, "i": ids}, logits="z", label="t", row_id="i")
    second = se.open_outputs(
        {"z": better[::-1], "t": t[::-1], "i": ids[::-1]}, logits="z", label="t", row_id="i"
    )
    result = se.paired([first, second], eps=0.0)
    logs = [one - np.log(np.exp(one).sum(axis=1, keepdims=True)) for one in (z, better)]
    losses = [-one[np.arange(60), t] for one in logs]
    assert result.mean == pytest.approx((losses[1] - losses[0]).mean(), abs=1e-12)
    assert len(result.results[0].pair.per_class) == 3
    assert result.difference.high < 0
    wrong = se.open_outputs({"z": z, "t": (t + 1) % 3, "i": ids}, logits="z", label="t", row_id="i")
    with pytest.raises(DataError, match=r"row 0 \(id '0'\): its true class is another one .*60 such rows"):
        se.paired([first, wrong])


def test_groups_of_joined_rows_must_agree_whatever_their_order() -> None:
    first, second = run([1, 2, 3], [0, 1, 2], g=["a", "b", "a"]), run([1, 2, 3], [2, 1, 0], g=["a", "b", "a"])
    joined = se.join_outputs([first, second])
    assert [joined.groups.names[code] for code in joined.groups.codes] == ["a", "b", "a"]
    with pytest.raises(DataError, match=r"its group is another one"):
        se.join_outputs([first, run([1, 2, 3], [0, 1, 2], g=["a", "a", "b"])])


def test_of_scores_the_larger_one_wins() -> None:
    first = se.open_outputs({"v": np.array([0.0, 0.0, 1.0, 0.0])}, score="v")
    second = se.open_outputs({"v": np.array([1.0, 1.0, 0.0, 0.0])}, score="v")
    result = se.paired([first, second])
    assert (result.win_rate, result.results[0].pair.tie_rate) == (0.5, 0.25)
    assert result.to_dict()["higher_is_better"] is True


def test_differences_whose_squares_vanish_are_compared() -> None:
    """The square of a variance of 1e-182 is 0 in float64."""
    result = se.paired([run([0.0, 0.0]), run([0.0, 1e-91])])
    assert result.mean == pytest.approx(5e-92)


def test_random_rows_of_joined_runs_give_the_difference_with_a_guarantee() -> None:
    rng = np.random.default_rng(9)
    first, second = rng.random(4_000), rng.random(4_000)
    runs = [se.open_outputs({"v": one}, score="v") for one in (first, second)]
    found = se.paired(runs, half_width=0.1)
    assert found.rows_read < 4_000
    assert found.difference.low <= (second - first).mean() <= found.difference.high
