"""Capital processes: what a gambler would have won from a wrong mean. Knows losses scaled to [0, 1] and bets.

Everywhere below, with N rows in the population (0: drawn with replacement) and S_i the sum of the first i:

    m_i = (N m - S_(i-1)) / (N - i + 1)        the mean of the rows still unseen, if m is the mean of all
    K(m) = product of 1 + min(l_i, c / m_i) (x_i - m_i)      fair if m is true, whatever the bets l_i >= 0

K falls as m grows, because each factor does: so the m that the rows speak against are all those below one
point, and that point is found by bracketing. The other side is the same with 1 - x and 1 - m.
Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting".
"""

from __future__ import annotations

from math import log, sqrt
from typing import Any

from numba import prange

from streameval.kernels.compiling import device, kernel

TRUNCATION = 0.9  # c: the share of the capital that a single row may take
LARGEST_BET = 1e6  # 32 factors of this size still fit a float64
SEGMENT = 32  # rows multiplied before a logarithm is taken
TOLERANCE = 1e-10  # of the range; the end reported is the outer one


@kernel()
def bets_onward(
    x: Any,
    start: int,
    stop: int,
    population: int,
    rate: float,
    aimed: bool,
    prior: float,
    state: Any,
    bets: Any,
) -> None:
    """Write the bets on rows start..stop-1, each from the rows before it alone.

        l_i = rate * N / (N - i + 1) / (v_(i-1) if aimed else sqrt(v_(i-1)))

    x (n,) float64 in [0, 1] · state (3,) float64: count, mean, summed squared deviation of what went
    before, carried from call to call · bets (n,) float64
    """
    count, mean, spread = state[0], state[1], state[2]
    for i in range(start, stop):
        bets[i] = _bet(count, spread, population, rate, aimed, prior)
        count += 1.0
        gap = x[i] - mean
        mean += gap / count
        spread += gap * (x[i] - mean)
    state[0], state[1], state[2] = count, mean, spread


@kernel()
def betting_limits(
    x: Any, bets: Any, stop: int, population: int, threshold: float, low: float, high: float, out: Any
) -> None:
    """Write the ends of the interval that the first `stop` rows leave, all looks on the way counted.

    x, bets (n,) float64 · threshold ln(2 / a) · low, high: the mean lies between them for certain · out (2,)
    """
    out[0] = _limit(x, bets, stop, population, threshold, low, high, False)
    out[1] = 1.0 - _limit(x, bets, stop, population, threshold, 1.0 - high, 1.0 - low, True)


@kernel(parallel=True)
def betting_limits_trials(
    x: Any, population: int, rate: float, aimed: bool, prior: float, threshold: float, bets: Any, out: Any
) -> None:
    """Write the interval of each trial, a row of x, after its last value; rate and aimed as for `bets_onward`.

    x (trials, n) float64 in [0, 1] · bets (trials, n) float64, scratch · out (trials, 2) float64
    """
    n = x.shape[1]
    for trial in prange(x.shape[0]):
        count, mean, spread, total = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            value = x[trial, i]
            bets[trial, i] = _bet(count, spread, population, rate, aimed, prior)
            count += 1.0
            gap = value - mean
            mean += gap / count
            spread += gap * (value - mean)
            total += value
        low, high = 0.0, 1.0
        if population > 0:
            low, high = total / population, (total + population - n) / population
        out[trial, 0] = _limit(x[trial], bets[trial], n, population, threshold, low, high, False)
        out[trial, 1] = 1.0 - _limit(
            x[trial], bets[trial], n, population, threshold, 1.0 - high, 1.0 - low, True
        )


@kernel(parallel=True)
def betting_capital_trials(
    x: Any,
    population: int,
    rate: float,
    aimed: bool,
    prior: float,
    truth: float,
    ever: bool,
    bets: Any,
    out: Any,
) -> None:
    """Write the log-capital each trial won against the true mean, from each side; `ever`: the largest.

    The truth is missed exactly where this passes ln(2 / a). Far cheaper than the interval itself.
    x (trials, n) float64 · bets (trials, n) scratch · out (trials, 2): against "too low", "too high"
    """
    n = x.shape[1]
    for trial in prange(x.shape[0]):
        count, mean, spread = 0.0, 0.0, 0.0
        for i in range(n):
            value = x[trial, i]
            bets[trial, i] = _bet(count, spread, population, rate, aimed, prior)
            count += 1.0
            gap = value - mean
            mean += gap / count
            spread += gap * (value - mean)
        out[trial, 0] = _log_capital(x[trial], bets[trial], n, population, truth, False, ever)
        out[trial, 1] = _log_capital(x[trial], bets[trial], n, population, 1.0 - truth, True, ever)


@device
def _bet(count: Any, spread: Any, population: Any, rate: Any, aimed: Any, prior: Any) -> Any:
    # One imagined row of variance `prior` keeps the estimate above 0 until rows have spoken.
    variance = (prior + spread) / (1.0 + count)
    bet = rate / (variance if aimed else sqrt(variance))
    if population > 0:
        bet *= population / (population - count)
    return min(bet, LARGEST_BET)


@device
def _log_capital(x: Any, bets: Any, stop: Any, population: Any, m: Any, mirrored: Any, peak: Any) -> Any:
    """Return log K(m) after `stop` rows, or with `peak` the largest on the way (0 before the first)."""
    settled, capital, top, best = 0.0, 1.0, 0.0, 1.0
    seen = 0.0
    since = 0
    for i in range(stop):
        value = 1.0 - x[i] if mirrored else x[i]
        rest = m
        if population > 0:
            rest = min(max((population * m - seen) / (population - i), 0.0), 1.0)
            seen += value
        bet = bets[i]
        if bet * rest <= TRUNCATION:
            capital *= 1.0 + bet * (value - rest)
        else:
            capital *= 1.0 + TRUNCATION * (value / rest - 1.0)
        best = max(best, capital)
        since += 1
        if since == SEGMENT:
            top = max(top, settled + log(best))
            settled += log(capital)
            capital, best, since = 1.0, 1.0, 0
    if peak:
        return max(top, settled + log(best))
    return settled + log(capital)


@device
def _limit(
    x: Any, bets: Any, stop: Any, population: Any, threshold: Any, low: Any, high: Any, mirrored: Any
) -> Any:
    """Return a point below which every m is spoken against, within TOLERANCE of the largest such.

    The Illinois form of false position, with a halving wherever it is slow.
    """
    below = _log_capital(x, bets, stop, population, low, mirrored, False) - threshold
    if below < 0.0:
        return low
    above = _log_capital(x, bets, stop, population, high, mirrored, False) - threshold
    if above >= 0.0:
        return high
    side = 0
    halve = False
    while high - low > TOLERANCE:
        width = high - low
        middle = low + 0.5 * width
        if not halve:
            middle = low + width * (below / (below - above))
            middle = min(max(middle, low + 0.25 * TOLERANCE), high - 0.25 * TOLERANCE)
        value = _log_capital(x, bets, stop, population, middle, mirrored, False) - threshold
        if value >= 0.0:
            low, below = middle, value
            if side == 1:
                above *= 0.5
            side = 1
        else:
            high, above = middle, value
            if side == -1:
                below *= 0.5
            side = -1
        halve = high - low > 0.5 * width
    return low
