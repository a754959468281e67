"""Scores of 0 and 1 are right and wrong rows: exact intervals and tests, where an error of 0 would be no error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import streameval as se


def scores(values: object) -> se.Report:
    return se.evaluate(se.open_outputs({"v": np.array(values, float)}, score="v"))


@pytest.mark.parametrize("right", [0, 1, 17, 59, 60])
def test_scores_of_0_and_1_have_the_exact_interval_of_an_accuracy(right: int) -> None:
    report = scores([1] * right + [0] * (60 - right))
    exact = stats.binomtest(right, 60).proportion_ci(0.95, method="exact")
    assert report.accuracy_interval is not None
    assert report.accuracy_interval.low == pytest.approx(exact.low, abs=1e-9)
    assert report.accuracy_interval.high == pytest.approx(exact.high, abs=1e-9)
    assert report.to_dict()["accuracy_interval"]["estimates"] == "further data"


def test_other_scores_and_losses_have_none() -> None:
    assert scores([0, 1, 0.5]).accuracy_interval is None
    assert scores([2, 2, 0]).accuracy_interval is None
    # Squares that add up as those of 0 and 1 do, outside of 0 and 1.
    assert scores([-0.5, 1.5, -0.5, 1.5]).accuracy_interval is None
    assert se.evaluate(se.open_outputs({"v": np.array([0.0, 1.0])}, loss="v")).accuracy_interval is None


def test_two_runs_with_scores_of_0_and_1_are_compared_exactly() -> None:
    first, second = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0.0]), np.array([1, 0, 1, 1, 1, 1, 1, 1, 0, 0.0])
    result = se.paired([se.open_outputs({"v": one}, score="v") for one in (first, second)])
    found = result.results[0].mcnemar
    assert found is not None
    assert (found.only_first, found.only_second) == (1, 5)
    assert found.p_value == pytest.approx(stats.binomtest(1, 6).pvalue)
    graded = [se.open_outputs({"v": one / 2}, score="v") for one in (first, second)]
    assert se.paired(graded).results[0].mcnemar is None


def test_the_highest_scores_are_not_listed_as_the_worst_rows() -> None:
    assert scores([0.1, 0.9, 0.5]).to_dict()["worst"] is None
    losses = se.evaluate(se.open_outputs({"v": np.array([0.1, 0.9])}, loss="v")).to_dict()
    assert losses["worst"] == [{"row": 1, "loss": 0.9}, {"row": 0, "loss": 0.1}]
