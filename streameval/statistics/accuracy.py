"""Exact intervals for a share of right answers. Knows counts; not losses.

Clopper and Pearson's with replacement, and the same inversion of the hypergeometric law without.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from streameval.elementary import exp, lgamma, log, log1p
from streameval.errors import UsageError
from streameval.statistics.intervals.method import Interval, checked_level

INDEPENDENT = "The rows are independent of each other: drawn at random with replacement, or data of one kind."


def accuracy_interval(
    correct: int, rows: int, *, level: float = 0.95, population: int | None = None
) -> Interval:
    """Return where the accuracy over all rows lies, when `correct` of `rows` drawn at random are right.

    population: N when drawn without replacement, None when with. Holds for any sizes: the miss on each side
    is at most (1 - level) / 2; the share drawn lies inside. Raises UsageError for impossible counts.
    """
    checked_level(level)
    if not 0 <= correct <= rows or rows < 1:
        raise UsageError(f"{correct} right of {rows}: 0 <= right <= rows and at least one row were expected.")
    tail = 0.5 * (1.0 - level)
    if population is None:
        low = _clopper_pearson(correct, rows, tail)
        high = 1.0 - _clopper_pearson(rows - correct, rows, tail)
        return _around(correct / rows, low, high, level, "clopper-pearson", INDEPENDENT)
    if rows > population:
        raise UsageError(
            f"{rows} rows drawn without replacement from {population}: at most {population} can be."
        )
    low = _fewest(correct, rows, population, tail) / population
    high = (population - _fewest(rows - correct, rows, population, tail)) / population
    return _around(
        correct / rows,
        low,
        high,
        level,
        "hypergeometric",
        "The rows were drawn at random without replacement.",
    )


def _around(share: float, low: float, high: float, level: float, method: str, assumes: str) -> Interval:
    """The interval, widened to hold the share drawn: at low levels no whole number of right rows may lie as near."""
    return Interval(min(low, share), max(high, share), level, method, assumes)


def _clopper_pearson(correct: int, rows: int, tail: float) -> float:
    """Return the p at which P(X >= correct) = tail for X binomial(rows, p); 0 if correct = 0.

    Newton's steps from a normal approximation, between ends that close in on it: a few of them for any counts, where
    halving takes fifty, and each costs sqrt(rows) operations.
    """
    if correct == 0:
        return 0.0
    if correct == rows:
        return float(exp(log(tail) / rows))
    low, high = 0.0, 1.0
    share = correct / rows
    p = max(0.5 * share, share - 2.0 * math.sqrt(share * (1.0 - share) / rows))
    log_constant = lgamma(rows + 1) - lgamma(correct) - lgamma(rows - correct + 1)
    for _ in range(200):
        excess = incomplete_beta(correct, rows - correct + 1, p) - tail
        low, high = (low, p) if excess > 0 else (p, high)
        slope = exp(log_constant + (correct - 1) * log(p) + (rows - correct) * log1p(-p))
        step = p - excess / slope if slope > 0 else low
        after = step if low < step < high else 0.5 * (low + high)
        if abs(after - p) <= 1e-15 * p or not low < after < high:
            return after
        p = after
    return low


def _fewest(correct: int, rows: int, population: int, tail: float) -> int:
    """Return the smallest K with P(X >= correct) > tail, X the right ones among `rows` of N with K right."""
    return first(
        lambda right: hypergeometric_tail(correct, rows, right, population) > tail,
        correct,
        population - rows + correct,
    )


def first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the first k of low..high at which it holds, high if at none before: by bisection, it holds from k on."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def hypergeometric_tail(least: int, rows: int, right: int, population: int) -> float:
    """Return P(X >= least), X the right ones in a draw of `rows` from N of which `right` are right.

    Terms are summed away from the mean until they no longer count; at or below the mean's floor the
    answer is at least 1/2 and is given as 1: the search only asks whether it passes a smaller number.
    """
    if least <= max(0, rows - (population - right)) or least <= rows * right // population:
        return 1.0
    if least > min(rows, right):
        return 0.0
    term = exp(
        _log_choose(right, least)
        + _log_choose(population - right, rows - least)
        - _log_choose(population, rows)
    )
    total = 0.0
    overlap = least
    while term > total * 1e-17:
        total += term
        if overlap == min(rows, right):
            break
        term *= (
            (right - overlap)
            * (rows - overlap)
            / ((overlap + 1.0) * (population - right - rows + overlap + 1.0))
        )
        overlap += 1
    return total


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b), the chance that a beta(a, b) variable is at most x: Lentz's continued fraction."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = exp(_log_inverse_beta(a, b) + a * log(x) + b * log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    value = d = 1.0 / (d if abs(d) > tiny else tiny)
    for m in range(1, 1_000_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for part in (even, odd):
            d = 1.0 + part * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + part / c
            c = c if abs(c) > tiny else tiny
            step = c * d
            value *= step
        if abs(step - 1.0) < 1e-15:
            break
    return front * value / a


@functools.lru_cache(maxsize=64)
def _log_inverse_beta(a: float, b: float) -> float:
    """log 1 / B(a, b), which a search for x asks for at every step: half of its time."""
    return lgamma(a + b) - lgamma(a) - lgamma(b)
