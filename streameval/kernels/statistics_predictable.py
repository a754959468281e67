"""The predictable empirical Bernstein bound, in closed form. Knows losses scaled to [0, 1]; keeps four sums.

With l_i a bet in [0, 1) from the rows before row i (e / (v + e), v the variance so far, when aimed at the
half-width e: where l e - psi(l) v is largest), psi(l) = -ln(1 - l) - l, and A_i = N / (N - i + 1),
B_i = S_(i-1) / (N - i + 1) (1 and 0 when drawn with replacement), the mean exceeds

    (sum l_i (x_i + B_i) - ln(2/a) - sum psi(l_i) (x_i - mean_(i-1))^2) / sum l_i A_i

at all times at once, with probability 1 - a/2; the upper end is the same on 1 - x.
Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting", as their package
`confseq` (module predmix) computes it without replacement.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import Any

from numba import prange

from streameval.kernels.compiling import device, kernel

LARGEST = 0.75  # bets stay below 1, where psi is finite


@kernel()
def predictable_onward(
    x: Any, population: int, rate: float, aimed: bool, prior: float, threshold: float, state: Any, out: Any
) -> None:
    """Write the interval after each further row.

    x (n,) float64 in [0, 1] · threshold ln(2/a) · out (n, 2) float64
    state (7,) float64, zeros at first, carried from call to call: count, mean, summed squared deviation,
    sum of losses, sum of bets times A, centre, allowance
    """
    for i in range(x.shape[0]):
        _step(x[i], population, rate, aimed, prior, state)
        out[i, 0], out[i, 1] = _ends(population, threshold, state)


@kernel(parallel=True)
def predictable_trials(
    x: Any, population: int, rate: float, prior: float, threshold: float, states: Any, out: Any
) -> None:
    """Write the interval of each trial, a row of x, with bets tuned to its length.

    x (trials, n) float64 in [0, 1] · states (trials, 7) zeros, scratch · out (trials, 2) float64
    """
    for trial in prange(x.shape[0]):
        for i in range(x.shape[1]):
            _step(x[trial, i], population, rate, False, prior, states[trial])
        out[trial, 0], out[trial, 1] = _ends(population, threshold, states[trial])


@kernel()
def spread_onward(x: Any, state: Any, out: Any) -> None:
    """Write standard deviation (ddof 1, infinite for one row), skewness and largest deviation after each row.

    Welford's update, with Terriberry's for the third power. The largest deviation is that of the smallest or
    largest value so far from the mean so far.

    x (n,) float64 · out (n, 3) float64
    state (6,) float64, zeros at first: count, mean, summed squared and cubed deviations, smallest, largest
    """
    for i in range(x.shape[0]):
        before = state[0]
        state[0] = n = before + 1.0
        gap = x[i] - state[1]
        step = gap / n
        term = gap * step * before
        state[1] += step
        state[3] += term * step * (n - 2.0) - 3.0 * step * state[2]
        state[2] += term
        state[4] = min(state[4], x[i]) if before > 0.0 else x[i]
        state[5] = max(state[5], x[i]) if before > 0.0 else x[i]
        out[i, 0] = sqrt(state[2] / before) if before > 0.0 else inf
        second = state[2] / n
        out[i, 1] = state[3] / n / second**1.5 if second > 0.0 else 0.0
        out[i, 2] = max(state[1] - state[4], state[5] - state[1])


@device
def _step(value: Any, population: Any, rate: Any, aimed: Any, prior: Any, state: Any) -> None:
    count, mean, spread = state[0], state[1], state[2]
    variance = (prior + spread) / (1.0 + count)
    bet = rate / (variance + rate if aimed else sqrt(variance))
    growth, drawn = 1.0, 0.0
    if population > 0:
        growth = population / (population - count)
        drawn = state[3] / (population - count)
    bet = min(bet * growth, LARGEST)
    guess = mean if count > 0.0 else 0.5
    state[4] += bet * growth
    state[5] += bet * (value + drawn)
    state[6] += (-log(1.0 - bet) - bet) * (value - guess) ** 2
    state[0] = count + 1.0
    state[1] = mean + (value - mean) / state[0]
    state[2] = spread + (value - mean) * (value - state[1])
    state[3] += value


@device
def _ends(population: Any, threshold: Any, state: Any) -> Any:
    centre = state[5] / state[4]
    margin = (threshold + state[6]) / state[4]
    low, high = max(centre - margin, 0.0), min(centre + margin, 1.0)
    if population > 0:
        low = max(low, state[3] / population)
        high = min(high, (state[3] + population - state[0]) / population)
    return low, high
