"""Capital won by betting on the sign of a mean. Knows values scaled to [0, 1] and where 0 lies among them.

Each side bets half of its capital adaptively, as Kelly would if the rows so far told the truth, and half by a plug-in
that narrows an interval:

    a_i = (mean - m_i) / (v + (mean - m_i)^2)      p_i = sqrt(2 ln(2/a) / (v i ln(i + 1))) sqrt(N / (N - i + 1))

with mean and variance v of the rows before row i, and m_i the mean of the rows not yet seen if that of all is 0 (see
`betting`). Any bets from the rows before are fair; either half alone is slow somewhere: the plug-in for small
differences of accuracies, the adaptive one gives no interval.
"""

from __future__ import annotations

from math import exp, log, log1p, sqrt
from typing import Any

from streameval.kernels.betting import TRUNCATION, _log_capital
from streameval.kernels.compiling import device, kernel

HALVINGS = 45


@kernel()
def decide_onward(
    x: Any,
    start: int,
    stop: int,
    population: int,
    zero: float,
    threshold: float,
    prior: float,
    state: Any,
    bets: Any,
    capital: Any,
) -> None:
    """Write bets and log-capital of rows start..stop-1, each bet from the rows before it alone.

    x (n,) float64 in [0, 1] · threshold ln(2 / a) · prior: variance of a row imagined before the first
    state (8,) float64, zeros at first, carried on: count, mean, summed squared deviation, sum, four log-capitals
    bets (3, n): adaptive upwards, adaptive downwards, plug-in · capital (n, 2): against "not above 0", "not below 0"
    """
    for i in range(start, stop):
        count, mean, spread, seen = state[0], state[1], state[2], state[3]
        rest, growth = zero, 1.0
        if population > 0:
            rest = min(max((population * zero - seen) / (population - count), 0.0), 1.0)
            growth = sqrt(population / (population - count))
        variance = (prior + spread) / (1.0 + count)
        gap = (count * mean + zero) / (count + 1.0) - rest
        kelly = gap / (variance + gap * gap)
        bets[0, i], bets[1, i] = max(kelly, 0.0), max(-kelly, 0.0)
        bets[2, i] = growth * sqrt(2.0 * threshold / (variance * (count + 1.0) * log(count + 2.0)))
        state[4] += _won(bets[0, i], x[i], rest)
        state[5] += _won(bets[1, i], 1.0 - x[i], 1.0 - rest)
        state[6] += _won(bets[2, i], x[i], rest)
        state[7] += _won(bets[2, i], 1.0 - x[i], 1.0 - rest)
        capital[i, 0], capital[i, 1] = _half(state[4], state[6]), _half(state[5], state[7])
        state[0] = count + 1.0
        state[1] = mean + (x[i] - mean) / state[0]
        state[2] = spread + (x[i] - mean) * (x[i] - state[1])
        state[3] = seen + x[i]


@kernel()
def decided_limits(
    x: Any, bets: Any, stop: int, population: int, threshold: float, low: float, high: float, out: Any
) -> None:
    """Write the ends of the interval that the first `stop` rows leave, by the same bets, all looks counted.

    low, high: the mean lies between them for certain · out (2,)
    """
    out[0] = _limit(x, bets[0], bets[2], stop, population, threshold, low, high, False)
    out[1] = 1.0 - _limit(x, bets[1], bets[2], stop, population, threshold, 1.0 - high, 1.0 - low, True)


@device
def _won(bet: Any, value: Any, rest: Any) -> Any:
    if bet * rest <= TRUNCATION:
        return log1p(bet * (value - rest))
    return log1p(TRUNCATION * (value / rest - 1.0))


@device
def _half(one: Any, two: Any) -> Any:
    """Return log((e^one + e^two) / 2)."""
    top = max(one, two)
    return top + log(0.5 * (exp(one - top) + exp(two - top)))


@device
def _limit(
    x: Any,
    one: Any,
    two: Any,
    stop: Any,
    population: Any,
    threshold: Any,
    low: Any,
    high: Any,
    mirrored: Any,
) -> Any:
    """Return a point below which every m is spoken against, by halving: capital falls as m grows."""
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        first = _log_capital(x, one, stop, population, middle, mirrored, False)
        second = _log_capital(x, two, stop, population, middle, mirrored, False)
        if _half(first, second) >= threshold:
            low = middle
        else:
            high = middle
    return low
