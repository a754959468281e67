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
PIECE_ROWS = 100_000  # read at once; whole blocks of every size
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
    even: float
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
    Bonferroni's over all looks. A stride counts its residues separately; a look for which the rows are
    too few for a normal law (5 skewness^2 in a group; ten blocks, and see `_divides`) is left out. One pass.
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
    for size, (count, squares) in blocks.items():
        if _divides(count, size, whole):
            looks.append(("block", size, *_block(count, squares, size, whole)))
            tests += 1
    if whole.rows > 2 and whole.sd > 0:
        looks.append(("trend", 0, slope * math.sqrt(whole.rows - 1), slope))
        tests += 1
    limit = quantile(1.0 - false_alarm / max(1, tests))
    findings = tuple(Finding(kind, size, z, abs(z) > limit, price) for kind, size, z, price in looks)
    even = _group_mean(residues, 0, whole)
    odd = _group_mean(residues, 1, whole) if whole.rows > 1 else None
    flagged = [finding for finding in findings if finding.flagged]
    return Order(not flagged, even, odd, findings, limit, false_alarm, _message(flagged, even, odd, whole))


def _sums(losses: Any, whole: Population) -> tuple[NDArray[np.float64], dict[int, tuple[int, float]], float]:
    """Return sums and counts by residue (2, CYCLE), the blocks, and the trend's correlation.

    The blocks: size -> how many whole ones, and the sum of their means' squared deviations.
    """
    residues = np.zeros((2, CYCLE))
    blocks = dict.fromkeys(BLOCKS, (0, 0.0))
    products = []
    middle = 0.5 * (whole.rows - 1)
    for start in range(0, whole.rows, PIECE_ROWS):
        gaps = np.asarray(losses[start : start + PIECE_ROWS], np.float64) - whole.mean
        residues += np.roll(_by_residue(gaps), start % CYCLE, axis=1)
        for size, (count, squares) in blocks.items():
            fit = len(gaps) // size
            means = gaps[: fit * size].reshape(fit, size).mean(axis=1)
            blocks[size] = count + fit, squares + float(np.dot(means, means))
        products.append(float(np.dot(gaps, np.arange(start, start + len(gaps)) - middle)))
    scale = whole.sd * math.sqrt(whole.rows * (whole.rows + 1) / 12.0) * (whole.rows - 1)
    return residues, blocks, math.fsum(products) / scale if scale > 0 else 0.0


def _by_residue(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (2, CYCLE): sums and counts of the rows of a piece that leave the same remainder."""
    sums = np.zeros((2, CYCLE))
    full = len(gaps) // CYCLE * CYCLE
    sums[0] = gaps[:full].reshape(-1, CYCLE).sum(axis=0)
    sums[1] = full // CYCLE
    sums[0, : len(gaps) - full] += gaps[full:]
    sums[1, : len(gaps) - full] += 1
    return sums


def _fits(stride: int, whole: Population) -> bool:
    return whole.sd > 0 and whole.rows // stride >= max(30.0, 5.0 * whole.skewness**2)


def _groups(
    residues: NDArray[np.float64], stride: int, whole: Population
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the z-score and relative error of each residue's mean. residues: sums of loss - mean, counts.

    The mean of n rows of N at random has variance S^2 (1 - n/N) / n and, to first order, skewness
    g (1 - 2n/N) / sqrt(n (1 - n/N)); Cornish and Fisher's z - skewness (z^2 - 1) / 6 takes that out.
    """
    sums, counts = residues.reshape(2, -1, stride).sum(axis=1)
    gap = sums / counts
    share = counts / whole.rows
    z = gap / (whole.sd * np.sqrt((1.0 - share) / counts))
    skewness = whole.skewness * (1.0 - 2.0 * share) / np.sqrt(counts * (1.0 - share))
    bent = z - skewness * (z * z - 1.0) / 6.0
    # Far out the correction would turn round; there the plain z is beyond doubt anyway.
    z = np.where(np.abs(skewness * z) < 1.0, bent, z)
    return z, gap / whole.mean if whole.mean else gap * 0.0


def _block(count: int, squares: float, size: int, whole: Population) -> tuple[float, float]:
    """Return z and the ratio of the variance of blocks' means to that of as many random rows.

    Squared sums of blocks of b rows differ between orders only by the products of rows that share a block:
    the squares of single rows are the same in every order. So the ratio of B blocks varies about 1 by
    v = 2 (1 - 1/b) / (B - 1), whatever the kurtosis. Wilson and Hilferty's cube root makes that normal:
    (ratio^(1/3) - (1 - v/9)) / sqrt(v/9).
    """
    expected = whole.sd**2 * (1.0 - size / whole.rows) / size
    # Blocks of one population are drawn without replacement: their spread about its mean, not their own.
    ratio = squares / count / expected
    wobble = 2.0 * (1.0 - 1.0 / size) / (count - 1)
    return (ratio ** (1 / 3) - (1.0 - wobble / 9.0)) / math.sqrt(wobble / 9.0), ratio


def _divides(count: int, size: int, whole: Population) -> bool:
    """True if there are blocks enough, and no few products of huge losses decide: 25 (kurtosis + 3)^2 pairs."""
    pairs = 0.5 * count * size * (size - 1)
    return whole.sd > 0 and count >= FEWEST_BLOCKS and pairs >= 25.0 * (whole.kurtosis + 3.0) ** 2


def _group_mean(residues: NDArray[np.float64], parity: int, whole: Population) -> float:
    sums, counts = residues[:, parity::2].sum(axis=1)
    return whole.mean + float(sums / counts)


def _strongest(z: NDArray[np.float64]) -> float:
    return float(z[np.argmax(np.abs(z))])


def _largest(gap: NDArray[np.float64]) -> float:
    return float(gap[np.argmax(np.abs(gap))])


def _message(flagged: list[Finding], even: float, odd: float | None, whole: Population) -> str:
    if not flagged:
        return "Nothing speaks against a random order; a keyed permutation is safe whatever the order."
    said = []
    strides = [finding for finding in flagged if finding.kind == "stride"]
    if strides:
        clearest = max(strides, key=lambda finding: abs(finding.z))
        said.append(f"taking one row in {clearest.size} is wrong by up to {100 * abs(clearest.price):.1f} %")
    if any(finding.size == 2 for finding in strides) and odd is not None:
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
