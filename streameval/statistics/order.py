"""Is the order of the rows random? Parity, strides, blocks and trend, with what it would cost to pretend.

Knows losses in file order, as an array that may be a mapped file. Does not know why rows lie as they do.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.statistics.intervals.interval import quantile
from streameval.statistics.population import Population

STRIDES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 32, 64)
CYCLE = 20160  # every stride divides it, so one pass over the residues serves all
BLOCKS = (10, 100, 1000, 5000)
FEWEST_BLOCKS = 10
FALSE_ALARM = 0.001


@dataclass(frozen=True, slots=True)
class Finding:
    """One look at the order.

    kind     "stride", "block" or "trend" · size: rows between two rows taken, rows in a block, or 0
    z        the deviation from a random order, close to standard normal if the order is random
    flagged  |z| passes the audit's limit
    price    stride: the worst relative error of the mean of such a sample, (mean_r - mean) / mean;
             block: variance of a block's mean over that of as many random rows; trend: the correlation
    """

    kind: str
    size: int
    z: float
    flagged: bool
    price: float


@dataclass(frozen=True, slots=True)
class Order:
    """The audit. `false_alarm` bounds the chance that a random order is flagged at all, by |z| > `limit`."""

    random: bool
    even: float | None
    odd: float | None
    findings: tuple[Finding, ...]
    limit: float
    false_alarm: float
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def audit_order(
    losses: Any, population: Population | None = None, *, false_alarm: float = FALSE_ALARM
) -> Order:
    """Say whether a file's order looks random, and the price of pretending that it is.

    Each look is a z-score whose law under a random order is known, so nothing is shuffled; the limit is
    Bonferroni's over all looks. A stride counts its residues separately; a group or block too small for a
    normal law (fewer rows than 5 skewness^2 a group, fewer than ten blocks) is left out. One pass.
    """
    if not 0.0 < false_alarm < 1.0:
        raise UsageError(
            f"false alarm rate {false_alarm}: a number between 0 and 1 was expected, such as 0.001."
        )
    whole = Population.of(losses) if population is None else population
    residues, blocks, slope = _sums(losses, whole)
    strides = [(stride, *_groups(residues, stride, whole)) for stride in STRIDES if _fits(stride, whole)]
    looks = [("stride", stride, _strongest(z), _largest(gap)) for stride, z, gap in strides]
    tests = sum(stride for stride, _, _ in strides)
    for size, sums in blocks.items():
        if len(sums) >= FEWEST_BLOCKS and whole.sd > 0:
            looks.append(("block", size, *_block(sums, size, whole)))
            tests += 1
    if whole.rows > 2 and whole.sd > 0:
        looks.append(("trend", 0, slope * math.sqrt(whole.rows - 1), slope))
        tests += 1
    limit = quantile(1.0 - false_alarm / max(1, tests))
    findings = tuple(Finding(kind, size, z, abs(z) > limit, price) for kind, size, z, price in looks)
    even = _group_mean(residues, 0)
    odd = _group_mean(residues, 1) if whole.rows > 1 else None
    flagged = [finding for finding in findings if finding.flagged]
    return Order(not flagged, even, odd, findings, limit, false_alarm, _message(flagged, even, odd, whole))


def _sums(
    losses: Any, whole: Population
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]], float]:
    """Return sums and counts by residue (2, CYCLE), sums of whole blocks, and the trend's correlation."""
    residues = np.zeros((2, CYCLE))
    parts: dict[int, list[NDArray[np.float64]]] = {size: [] for size in BLOCKS}
    piece = math.lcm(CYCLE, BLOCKS[-1])
    products = []
    middle = 0.5 * (whole.rows - 1)
    for start in range(0, whole.rows, piece):
        values = np.asarray(losses[start : start + piece], np.float64)
        full = len(values) // CYCLE * CYCLE
        residues[0] += values[:full].reshape(-1, CYCLE).sum(axis=0)
        residues[1] += full // CYCLE
        residues[0, : len(values) - full] += values[full:]
        residues[1, : len(values) - full] += 1
        for size in BLOCKS:
            count = len(values) // size
            parts[size].append(values[: count * size].reshape(count, size).sum(axis=1))
        products.append(float(np.dot(values - whole.mean, np.arange(start, start + len(values)) - middle)))
    scale = whole.sd * math.sqrt(whole.rows * (whole.rows + 1) / 12.0) * (whole.rows - 1)
    slope = math.fsum(products) / scale if scale > 0 else 0.0
    return residues, {size: np.concatenate(sums) for size, sums in parts.items()}, slope


def _fits(stride: int, whole: Population) -> bool:
    return whole.sd > 0 and whole.rows // stride >= max(30.0, 5.0 * whole.skewness**2)


def _groups(
    residues: NDArray[np.float64], stride: int, whole: Population
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the z-score and relative error of each residue's mean.

    The mean of n rows of N at random has variance S^2 (1 - n/N) / n and, to first order, skewness
    g (1 - 2n/N) / sqrt(n (1 - n/N)); Cornish and Fisher's z - skewness (z^2 - 1) / 6 takes that out.
    """
    sums, counts = residues.reshape(2, -1, stride).sum(axis=1)
    gap = sums / counts - whole.mean
    share = counts / whole.rows
    z = gap / (whole.sd * np.sqrt((1.0 - share) / counts))
    skewness = whole.skewness * (1.0 - 2.0 * share) / np.sqrt(counts * (1.0 - share))
    bent = z - skewness * (z * z - 1.0) / 6.0
    # Far out the correction would turn round; there the plain z is beyond doubt anyway.
    z = np.where(np.abs(skewness * z) < 1.0, bent, z)
    return z, gap / whole.mean if whole.mean else gap * 0.0


def _block(sums: NDArray[np.float64], size: int, whole: Population) -> tuple[float, float]:
    """Return z and the ratio of the variance of blocks' means to that of as many random rows.

    The ratio of B blocks varies about 1 by v = 2 / (B - 1) + kurtosis / (size B) if the order is random;
    Wilson and Hilferty's cube root makes that normal: (ratio^(1/3) - (1 - v/9)) / sqrt(v/9).
    """
    expected = whole.sd**2 * (1.0 - size / whole.rows) / size
    # Blocks of one population are drawn without replacement: their spread about its mean, not their own.
    ratio = float(np.mean((sums / size - whole.mean) ** 2)) / expected
    wobble = 2.0 / (len(sums) - 1) + max(whole.kurtosis, -1.0) / (size * len(sums))
    return (ratio ** (1 / 3) - (1.0 - wobble / 9.0)) / math.sqrt(wobble / 9.0), ratio


def _group_mean(residues: NDArray[np.float64], parity: int) -> float | None:
    sums, counts = residues[:, parity::2].sum(axis=1)
    return float(sums / counts)


def _strongest(z: NDArray[np.float64]) -> float:
    return float(z[np.argmax(np.abs(z))])


def _largest(gap: NDArray[np.float64]) -> float:
    return float(gap[np.argmax(np.abs(gap))])


def _message(flagged: list[Finding], even: float | None, odd: float | None, whole: Population) -> str:
    if not flagged:
        return "Nothing speaks against a random order; a keyed permutation is safe whatever the order."
    said = []
    strides = [finding for finding in flagged if finding.kind == "stride"]
    if strides:
        clearest = max(strides, key=lambda finding: abs(finding.z))
        said.append(f"taking one row in {clearest.size} is wrong by up to {abs(clearest.price):.1%}")
    if any(finding.size == 2 for finding in strides) and even is not None and odd is not None:
        said.append(f"even rows have mean loss {even:.4f}, odd rows {odd:.4f}")
    tiles = [finding for finding in flagged if finding.kind == "block"]
    if tiles:
        worst = max(tiles, key=lambda finding: finding.price)
        said.append(
            f"blocks of {worst.size} rows have {worst.price:.1f} times the variance of as many random rows"
        )
    trend = [finding for finding in flagged if finding.kind == "trend"]
    if trend:
        said.append(f"the loss drifts along the file (correlation {trend[0].price:+.3f})")
    return f"The order is not random: {'; '.join(said)}. Draw rows at random, never by stride or block."
