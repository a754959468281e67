"""Which of two models is right more often, from the rows where one is right and the other wrong. Knows counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.accuracy import incomplete_beta
from streameval.statistics.population import PIECE


@frozen
class McNemar:
    """Rows that only the first model, and only the second, gets right, and how likely a split at least as uneven is
    for two models that are right equally often on further data: exact, if rows are independent."""

    only_first: int
    only_second: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def mcnemar(first: Any, second: Any) -> McNemar:
    """Compare the right rows of two models, (n,) bool each, on the same rows; arrays or mapped files.

        p = min(1, 2 P(X <= min(b, c))),   X binomial(b + c, 1/2)

    Q. McNemar (1947), "Note on the sampling error of the difference between correlated proportions", in its exact form.
    """
    if len(first) != len(second):
        raise UsageError(f"{len(first)} and {len(second)} rows: the same rows of both models were expected.")
    one = two = 0
    for start in range(0, len(first), PIECE):
        a, b = (np.asarray(right[start : start + PIECE]).astype(np.bool_) for right in (first, second))
        one += int(np.count_nonzero(a & ~b))
        two += int(np.count_nonzero(b & ~a))
    return McNemar(one, two, of_counts(one, two))


def of_counts(only_first: int, only_second: int) -> float:
    """Return the p-value of the two counts."""
    few, rows = min(only_first, only_second), only_first + only_second
    if rows - 2 * few <= 1:  # as even as can be: no split is less uneven
        return 1.0
    # P(X <= few) is the chance that a beta(rows - few, few + 1) variable is at most 1/2.
    return min(1.0, 2.0 * incomplete_beta(rows - few, few + 1, 0.5))
