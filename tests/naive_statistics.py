"""The obvious version of everything statistical: plain loops, exact fractions, nothing of the package."""

from __future__ import annotations

import functools
import gzip
import math
import pickle
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist

import numpy as np

MASK = 2**64 - 1


@functools.cache
def mnist(folder: Path):
    """Return pixels / 255 as float64 (60000, 784), labels, and the weights of the article's network."""
    pixels = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    weights = pickle.loads((folder / "sample_weight.pkl").read_bytes())  # our own, checked file
    x = np.frombuffer(pixels, np.uint8).reshape(-1, 784)
    return x, np.frombuffer(labels, np.uint8).astype(np.int64), weights


@functools.cache
def mnist_losses(folder: Path, change: str = "none") -> np.ndarray:
    """Return -log(y + 1e-7) of each training row, float64; `change` alters the weights first."""
    x, t, weights = mnist(folder)
    rng = np.random.default_rng(0)
    new = {}
    for name, value in weights.items():
        if change == "float16":
            value = value.astype(np.float16)
        if (
            change == "earlier"
        ):  # relative noise of 8 %: a difference of a 90th of the variance, as training makes
            value = value * (1 + 0.08 * rng.standard_normal(value.shape))
        new[name] = value.astype(np.float64)
    losses = np.empty(len(x))
    for start in range(0, len(x), 5000):
        rows = slice(start, start + 5000)
        z1 = 1 / (1 + np.exp(-(x[rows] / 255.0 @ new["W1"] + new["b1"])))
        z2 = 1 / (1 + np.exp(-(z1 @ new["W2"] + new["b2"])))
        a3 = z2 @ new["W3"] + new["b3"]
        e = np.exp(a3 - a3.max(axis=1, keepdims=True))
        y = e / e.sum(axis=1, keepdims=True)
        losses[rows] = -np.log(y[np.arange(len(y)), t[rows]] + 1e-7)
    losses.setflags(write=False)
    return losses


# --- the keyed permutation ---------------------------------------------------------------------------------


def permuted(position: int, keys: list[int], population: int) -> int:
    left = math.isqrt(population - 1) + 1
    right = -(-population // left)
    if population > 1 and left * right == population and left % 2 and right % 2:
        left += 1  # or no odd permutation could come out
    while True:
        column, row = divmod(position, right)
        for first, second in zip(keys[::2], keys[1::2], strict=True):
            column = (column + (mix(row ^ first) >> 32) * left // 2**32) % left
            row = (row + (mix(column ^ second) >> 32) * right // 2**32) % right
        position = column * right + row
        if position < population:
            return position


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


# --- moments and closed-form intervals ---------------------------------------------------------------------


def moments(values) -> tuple[float, float, float]:
    """Return mean, sd (ddof 1) and skewness (divided by n), by exact fractions."""
    exact = [Fraction(float(v)) for v in values]
    n = len(exact)
    mean = sum(exact) / n
    second = sum((v - mean) ** 2 for v in exact)
    third = sum((v - mean) ** 3 for v in exact)
    sd = math.sqrt(second / (n - 1))
    skewness = float(third / n) / float(second / n) ** 1.5 if second else 0.0
    return float(mean), sd, skewness


def effective(n: int, population: int | None) -> float:
    return n if population is None else n / (1 - n / population)


def normal(values, level, population, bounds):
    mean, sd, _ = moments(values)
    half = NormalDist().inv_cdf((1 + level) / 2) * sd / math.sqrt(effective(len(values), population))
    return certain(values, population, bounds, mean - half, mean + half)


def skew(values, level, population, bounds):
    mean, sd, g = moments(values)
    n, f = len(values), len(values) / population if population else 0.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    if g == 0:
        return normal(values, level, population, bounds)

    def solve(z):
        """Bisect t + A t^2 + A^2 t^3 / 3 + B = z, which rises in t."""
        scale = g / (6 * math.sqrt(n * (1 - f)))
        a, b = scale * (2 - f), scale * (1 - 2 * f)
        low, high = -1e6, 1e6
        for _ in range(200):
            t = (low + high) / 2
            low, high = (t, high) if t + a * t**2 + a**2 * t**3 / 3 + b < z else (low, t)
        return t

    stderr = sd * math.sqrt((1 - f) / n)
    return certain(values, population, bounds, mean - stderr * solve(z), mean - stderr * solve(-z))


def bernstein(values, level, population, bounds):
    mean, sd, _ = moments(values)
    n, cost = len(values), math.log(4 / (1 - level))
    half = math.sqrt(2 * sd**2 * cost / n) + 7 * (bounds[1] - bounds[0]) * cost / (3 * (n - 1))
    return certain(values, population, bounds, mean - half, mean + half)


def serfling(values, level, population, bounds):
    mean, sd, _ = moments(values)
    n, cost = len(values), math.log(10 / (1 - level))
    rho = 1.0
    if population is not None:
        rho = 1 - (n - 1) / population if n <= population / 2 else (1 - n / population) * (1 + 1 / n)
    kappa = 7 / 3 + 3 / math.sqrt(2)
    half = sd * math.sqrt(2 * rho * cost / n) + kappa * (bounds[1] - bounds[0]) * cost / n
    return certain(values, population, bounds, mean - half, mean + half)


def asymptotic(values, level, population, bounds):
    mean, sd, _ = moments(values)
    t, a = effective(len(values), population), 1 - level
    r2 = (-2 * math.log(a) + math.log(-2 * math.log(a) + 1)) / 500
    half = sd * math.sqrt(2 * (t * r2 + 1) / (t**2 * r2) * math.log(math.sqrt(t * r2 + 1) / a))
    return certain(values, population, bounds, mean - half, mean + half)


def certain(values, population, bounds, low, high):
    """Cut to what the rows seen force, whatever the rest may hold; without bounds they force nothing."""
    if bounds is None:
        return low, high
    if population is None:
        least, most = bounds
    else:
        rest = population - len(values)
        least = (sum(values) + rest * bounds[0]) / population
        most = (sum(values) + rest * bounds[1]) / population
    return max(low, least), min(high, most)


# --- betting -----------------------------------------------------------------------------------------------


def bets(x, population, rate, aimed, prior=0.25):
    """Return the bet on each row, from the rows before it."""
    found = []
    for i in range(len(x)):
        before = x[:i]
        mean = sum(before) / i if i else 0.0
        v = (prior + sum((b - mean) ** 2 for b in before)) / (i + 1)
        growth = population / (population - i) if population else 1.0
        found.append(min(rate * growth / (v if aimed else math.sqrt(v)), 1e6))
    return found


def log_capital(x, stakes, m, population, c=0.9):
    """Return log K(m) after every row, by betting that the mean is above m."""
    total, path = 0.0, []
    for i, (value, stake) in enumerate(zip(x, stakes, strict=True)):
        rest = m
        if population:
            rest = min(max((population * m - sum(x[:i])) / (population - i), 0.0), 1.0)
        if rest > 0:
            stake = min(stake, c / rest)
        total += math.log(1 + stake * (value - rest))
        path.append(total)
    return path


def betting(values, level, population, bounds):
    low, high = bounds
    x = [(v - low) / (high - low) for v in values]
    price = math.log(2 / (1 - level))
    stakes = bets(x, population, math.sqrt(2 * price / effective(len(x), population)), False)

    def lowest(x):
        """Bisect: below the answer the capital against m has passed the price."""
        a, b = 0.0, 1.0
        if population:
            a, b = sum(x) / population, (sum(x) + population - len(x)) / population
        if log_capital(x, stakes, a, population)[-1] < price:
            return a
        for _ in range(60):
            m = (a + b) / 2
            if log_capital(x, stakes, m, population)[-1] >= price:
                a = m
            else:
                b = m
        return a

    first, last = lowest(x), 1 - lowest([1 - v for v in x])
    return low + (high - low) * first, low + (high - low) * last


def predictable(values, level, population, bounds):
    low, high = bounds
    x = [(v - low) / (high - low) for v in values]
    price = math.log(2 / (1 - level))
    n = effective(len(x), population)
    ends = predictable_ends(x, population, price, lambda v, _: math.sqrt(2 * price / (v * n)))
    return certain(values, population, bounds, *(low + (high - low) * end for end in ends))


def predictable_ends(x, population, price, stake):
    """Return the ends on the [0, 1] scale, not cut; stake(v, i): the bet before the population's growth and the cap."""
    weight = centre = spent = 0.0
    for i, value in enumerate(x):
        before = x[:i]
        mean = sum(before) / i if i else 0.5
        v = (0.25 + sum((b - mean) ** 2 for b in before)) / (i + 1)
        a = population / (population - i) if population else 1.0
        drawn = sum(before) / (population - i) if population else 0.0
        bet = min(stake(v, i) * a, 0.75)
        weight += bet * a
        centre += bet * (value + drawn)
        spent += (-math.log(1 - bet) - bet) * (value - mean) ** 2
    return [min(max((centre + sign * (price + spent)) / weight, 0.0), 1.0) for sign in (-1, 1)]


# --- counts ------------------------------------------------------------------------------------------------


def binomial_tail(least: int, n: int, p: Fraction) -> Fraction:
    return sum((math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(least, n + 1)), Fraction(0))


def hypergeometric_tail(least: int, n: int, right: int, population: int) -> Fraction:
    ways = sum(
        math.comb(right, k) * math.comb(population - right, n - k) for k in range(least, min(n, right) + 1)
    )
    return Fraction(ways, math.comb(population, n))


# --- groups ------------------------------------------------------------------------------------------------


def clustered(values, groups, weights=None) -> tuple[float, float]:
    """Return sum(values) / sum(weights) and its error, by the double sum over all pairs of rows in one group."""
    weights = [1.0] * len(values) if weights is None else weights
    total = sum(weights)
    mean = sum(values) / total
    spread = sum(
        (values[i] - mean * weights[i]) * (values[j] - mean * weights[j])
        for i in range(len(values))
        for j in range(len(values))
        if groups[i] == groups[j]
    )
    count = len(set(groups))
    return mean, math.sqrt(spread * count / (count - 1)) / total


# --- the sign of a mean ------------------------------------------------------------------------------------


def sign_capital(values, bounds, population, miss=0.05, prior=0.01, c=0.9) -> list[tuple[float, float]]:
    """Return the capital won against "0 or less" and "0 or more" after every row, half of it by each kind of bet."""
    low, high = bounds
    x, zero = [(v - low) / (high - low) for v in values], -low / (high - low)
    parts, path = [1.0] * 4, []
    for i, value in enumerate(x):
        before = x[:i]
        mean = sum(before) / i if i else 0.0
        v = (prior + sum((b - mean) ** 2 for b in before)) / (i + 1)
        rest, growth = zero, 1.0
        if population:
            rest = min(max((population * zero - sum(before)) / (population - i), 0.0), 1.0)
            growth = math.sqrt(population / (population - i))
        gap = (i * mean + zero) / (i + 1) - rest
        kelly = gap / (v + gap * gap)
        plug = growth * math.sqrt(2 * math.log(2 / miss) / (v * (i + 1) * math.log(i + 2)))
        stakes = (max(kelly, 0.0), max(-kelly, 0.0), plug, plug)
        for k, stake in enumerate(stakes):
            one, m = (value, rest) if k % 2 == 0 else (1 - value, 1 - rest)
            parts[k] *= 1 + min(stake, c / m if m > 0 else stake) * (one - m)
        path.append(((parts[0] + parts[2]) / 2, (parts[1] + parts[3]) / 2))
    return path


def holm(p_values) -> list[float]:
    """Return for each claim the smallest error at which the step-down procedure still makes it, by trying errors."""
    adjusted = []
    for k in range(len(p_values)):
        tried = sorted({min(1.0, j * p) for p in p_values for j in range(1, len(p_values) + 1)} | {1.0})
        adjusted.append(next((a for a in tried if k in _holm_made(p_values, a)), 1.0))
    return adjusted


def _holm_made(p_values, miss):
    made = set()
    while len(made) < len(p_values):
        left = [k for k in range(len(p_values)) if k not in made]
        best = min(left, key=lambda k: p_values[k])
        if p_values[best] * len(left) > miss * (1 + 1e-12):
            break
        made.add(best)
    return made


def draw_chances(old, low, uniform) -> list[float]:
    """Return the chance of each row: uniformly with chance `uniform`, else in proportion to its loss above `low`."""
    total = sum(loss - low for loss in old)
    return [uniform / len(old) + (1 - uniform) * (loss - low) / total for loss in old]


def quantile_ranks(n, share: Fraction, miss: Fraction, population=None) -> tuple[int, int]:
    """Return ranks l, u by exact fractions: the largest l and the least u that miss with at most miss / 2 each."""

    def at_least(k, below):
        """Chance that k or more of the sample are among the rows at or below (strictly below) the quantile."""
        if population is None:
            return binomial_tail(max(0, k), n, share)
        right = math.ceil(share * population) - (0 if below else 1)
        return hypergeometric_tail(max(0, k), n, right, population)

    low = max([k for k in range(1, n + 1) if 1 - at_least(k, True) <= miss / 2], default=0)
    high = min([k for k in range(1, n + 1) if at_least(k, False) <= miss / 2], default=n + 1)
    return low, high


def worst_mean(losses, share: Fraction) -> Fraction:
    """Return the mean of the worst share of the losses, the row that is cut counted in part."""
    left = total = share * len(losses)
    cost = Fraction(0)
    for loss in sorted(map(Fraction, losses), reverse=True):
        part = min(left, Fraction(1))
        cost, left = cost + part * loss, left - part
    return cost / total


def calibration_square(confidence, right, bins) -> float:
    """Return the squared calibration error without its bias, bin by bin; `bins` says which bin each row is in."""
    total = 0.0
    for k in set(bins):
        gaps = [c - y for c, y, b in zip(confidence, right, bins, strict=True) if b == k]
        mean = sum(gaps) / len(gaps)
        variance = sum((g - mean) ** 2 for g in gaps) / (len(gaps) - 1)
        total += len(gaps) / len(bins) * (mean**2 - variance / len(gaps))
    return total


def running_reach(rows: int, first: int, miss: float) -> float:
    """Howard & Ramdas (2022), theorem 2, with A = 0.85: the least C by small steps, the best eta by trying many."""
    a = 0.85

    def chance(c: float) -> float:
        found = math.inf
        for k in range(1, 2000):
            eta = 1.0 + k * (2 * a * a - 1.0) / 2000
            inner = a - math.sqrt(2 * (eta - 1) / c)
            gamma2 = 2 / eta * inner**2
            if inner > 0 and gamma2 > 1:
                found = min(found, 4 * math.exp(-gamma2 * c) * (1 + 1 / ((gamma2 - 1) * math.log(eta))))
        return found

    c = 1.0
    for step in (1.0, 0.1, 0.01, 0.001, 0.0001):
        while chance(c + step) > miss:
            c += step
    return a * math.sqrt((math.log(math.log(math.e * rows / first)) + c) / rows)
