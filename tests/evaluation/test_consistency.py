"""Stored results that no rows could come to are refused, whatever their seal says; all others are accepted."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streameval.errors import DataError
from streameval.evaluation.state import LARGEST_LOSS
from streameval.evaluation.tally import BLOCK_ROWS, Tally, fold_tally
from streameval.kernels.folding import TOO_LARGE
from streameval.scoring.scorer import Scores


def tally(start: int, rows: int, seed: int = 0, classes: int | None = 3) -> Tally:
    draws = np.random.default_rng(seed)
    loss = draws.exponential(size=rows)
    loss[draws.random(rows) < 0.1] = np.nan
    scores = Scores(loss, draws.integers(0, 3, rows), draws.integers(0, 3, rows))
    return fold_tally(start, scores, np.arange(start, start + rows), classes)[0]


def test_the_largest_loss_that_counts_is_that_of_the_kernels() -> None:
    assert LARGEST_LOSS == TOO_LARGE


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([0, 1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 7]),
    st.sampled_from([0, 1, 9, 10, 11, 500, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS + 3]),
    st.sampled_from([3, None]),
)
def test_what_rows_come_to_is_accepted(start: int, rows: int, classes: int | None) -> None:
    whole = tally(start, rows, classes=classes)
    assert Tally.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


STATE: dict[str, Any] = {
    "units": [10**400, -1, 0],
    "units_squared": [0, 10**400, 1],
    "smallest": ["nan", "inf", "-0x1p+30", "0x1p+3"],
    "largest": ["nan", "inf", "0x1p+23", "0x0p+0"],
    "worst": [[], [["0x1p+0", 3]], "reversed"],
    "left_out": [-1, 0, 10**30],
    "classes": [[[1, 1, 5]] * 3, [], [[10**9, 1, 5]] * 3, "more right"],
    "confusion": [[], [[0] * 3] * 3, [[-1] * 3] * 3, [[1] * 4] * 4],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in STATE.items() for v in values])
def test_a_state_that_no_rows_come_to_is_refused(field: str, value: Any) -> None:
    stored = json.loads(json.dumps(tally(5, 400).to_dict()))
    state = stored["state"]
    if value == "reversed":
        value = state["worst"][::-1]
    if value == "more right":
        value = copy.deepcopy(state["classes"])
        value[1][1] = value[1][0] + 1
    assert state[field] != value
    state[field] = value
    with pytest.raises(DataError, match=r"a stored (state|tally) .*Compute it again"):
        Tally.from_dict(stored)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(start=-1),
        lambda d: d.update(start=9, stop=5),
        lambda d: d.update(stop=10**18),
        lambda d: d.update(stop="many"),
        lambda d: d.update(blocks=[{"digest": "0" * 64, "sums": None, "classes": []}]),
        lambda d: d.update(blocks=[7]),
        lambda d: d.update(partial=[]),
        lambda d: d["partial"].append(d["partial"][0]),
        lambda d: d.update(partial=[[7, d["partial"][0][1]]]),
        lambda d: d["partial"][0][1].update(units=1),
        lambda d: d.update(state=[]),
    ],
)
def test_a_tally_that_no_rows_come_to_is_refused(change) -> None:
    stored = json.loads(json.dumps(tally(5, 400).to_dict()))
    change(stored)
    with pytest.raises(DataError, match=r"a stored (state|tally)"):
        Tally.from_dict(stored)
