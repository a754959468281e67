"""Samples taken class by class, and what they say of the whole. Knows labels as numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.bounds import Bounds
from streameval.statistics.intervals.method import Interval, checked_level
from streameval.statistics.intervals.unseen import Seen
from streameval.statistics.samples import Permutation
from streameval.statistics.seeds import number, spawn_stream
from streameval.statistics.student import STUDENT, t_quantile

ASSUMES = "The draw was random by its design, and the estimate is nearly normally distributed."


@frozen
class Estimate:
    """An estimated mean and its estimated variance, from `rows` rows.

    freedom  degrees of freedom of the variance · seen: what was drawn independently, for a warning
    """

    mean: float
    variance: float
    rows: int
    freedom: float = math.inf
    seen: Seen | None = None

    @property
    def stderr(self) -> float:
        """The standard error, in the unit of the loss."""
        return math.sqrt(self.variance)

    def interval(self, level: float = 0.95, *, bounds: Bounds | None = None) -> Interval:
        """Return mean -+ t stderr, t Student's quantile for `freedom`; without ends if the variance is unknown.

        An approximation: it warns by the rule of three, at the bounds of a loss where they are given, and of draws that
        are all alike. No end lies outside of the bounds.
        """
        checked_level(level)
        if math.isnan(self.variance):
            alone = "A class or the file gave a single draw, so the variance is unknown."
            return Interval(-math.inf, math.inf, level, STUDENT, ASSUMES, alone)
        half = t_quantile(level, self.freedom) * self.stderr
        unseen = None if self.seen is None else self.seen.warning(level, bounds, half)
        if unseen is None and half == 0.0 and self.seen is not None and self.seen.share(level) > 0.0:
            unseen = f"All {self.seen.what} drawn are alike: a spread of 0 says nothing of those not drawn."
        return Interval(self.mean - half, self.mean + half, level, STUDENT, ASSUMES, unseen).within(bounds)


def one_per_row(losses: Any, rows: int) -> NDArray[np.float64]:
    """Return the losses as (rows,) float64, or raise UsageError if they are of another shape."""
    values = np.asarray(losses, np.float64)
    if values.shape != (rows,):
        raise UsageError(f"losses: found shape {values.shape}, ({rows},) was expected: one per row.")
    return values


@frozen(eq=False)
class Strata:
    """Rows drawn without replacement inside each class.

    rows (n,) int64, class after class · counts (k,) rows drawn · sizes (k,) rows there are
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def estimate(self, losses: Any) -> Estimate:
        """Estimate the mean loss of all rows from the losses of `rows`, in that order.

            mean = sum_h W_h mean_h        variance = sum_h v_h,  v_h = W_h^2 (1 - n_h / N_h) s_h^2 / n_h

        with W_h = N_h / N. A class drawn in full adds no variance; one drawn once adds NaN: unknown. Degrees of
        freedom by Satterthwaite (1946): (sum v_h)^2 / sum(v_h^2 / (n_h - 1)), few where few rows decide.
        """
        labelled = one_per_row(losses, len(self.rows))
        parts = np.split(labelled, np.cumsum(self.counts)[:-1])
        total = int(self.sizes.sum())
        mean, variance, uncertain = 0.0, 0.0, 0.0
        for part, size in zip(parts, self.sizes.tolist(), strict=True):
            if size == 0:
                continue
            weight = size / total
            mean += weight * float(part.mean())
            if len(part) < size:
                spread = float(part.var(ddof=1)) if len(part) > 1 else math.nan
                added = weight**2 * (1 - len(part) / size) * spread / len(part)
                variance += added
                uncertain += added**2 / max(1, len(part) - 1)
        freedom = variance**2 / uncertain if uncertain > 0 else math.inf
        seen = Seen(len(labelled), total, mean, float(labelled.min()), float(labelled.max()))
        return Estimate(mean, variance, len(labelled), freedom, seen)


def stratified(labels: Any, size: int, *, seed: int | np.random.Generator = 0, spread: Any = None) -> Strata:
    """Draw `size` rows without replacement, shared out among the classes.

    labels: (N,) integers in [0, k). spread: None for shares proportional to the classes' sizes, or (k,)
    standard deviations of the loss, from a pilot or an earlier pass, for Neyman's allocation n_h ~ N_h S_h.
    Every class that has rows gets two (one if it has one), so that the variance can be estimated.
    Raises UsageError when `size` cannot be shared out so.
    """
    labelled = np.asarray(labels)
    if labelled.ndim != 1 or not np.issubdtype(labelled.dtype, np.integer) or len(labelled) == 0:
        raise UsageError(
            f"labels: found {labelled.dtype} of shape {labelled.shape}, a flat list of integers was expected."
        )
    sizes = np.bincount(labelled).astype(np.int64)
    counts = allocate(sizes, size, spread)
    root = number(seed)
    chosen = []
    for label, count in enumerate(counts.tolist()):
        if count:
            members = np.flatnonzero(labelled == label)
            key = int(spawn_stream(root, label).generate_state(1, np.uint64)[0])
            chosen.append(members[Permutation.of(len(members), seed=key).take(0, count)])
    return Strata(np.concatenate(chosen), counts, sizes)


def allocate(sizes: NDArray[np.int64], size: int, spread: Any = None) -> NDArray[np.int64]:
    """Share out `size` draws among classes of `sizes` rows: proportionally, or by Neyman with `spread`.

    Largest remainders; no class gets more than it has, none fewer than min(2, its rows). (k,) int64.
    """
    least = np.minimum(sizes, 2)
    if not least.sum() <= size <= sizes.sum():
        raise UsageError(
            f"size {size}: {least.sum()} to {sizes.sum()} rows can be shared out among "
            f"{np.count_nonzero(sizes)} classes, two at least for each."
        )
    pull = sizes.astype(np.float64)
    if spread is not None:
        known = np.asarray(spread, np.float64)
        if known.shape != sizes.shape or not np.all(known >= 0) or not np.isfinite(known).all():
            raise UsageError(
                f"spread: one finite standard deviation >= 0 for each of {len(sizes)} classes was expected."
            )
        pull = pull * known
    if not pull.any():
        pull = sizes.astype(np.float64)
    # Raise a common scale until the shares, held between their limits, add up.
    low, high = 0.0, 1.0
    while _shares(pull, high, least, sizes).sum() < size and high < 1e300:
        high *= 2
    for _ in range(200):
        middle = 0.5 * (low + high)
        if not low < middle < high:  # no number is left between them
            break
        if _shares(pull, middle, least, sizes).sum() < size:
            low = middle
        else:
            high = middle
    shares = _shares(pull, low, least, sizes)
    counts = np.floor(shares).astype(np.int64)
    room = np.where(counts < sizes, shares - counts, -1.0)
    while counts.sum() < size:
        take = int(np.argmax(room))
        counts[take] += 1
        room[take] = -0.5 if counts[take] < sizes[take] else -1.0
    return counts


def _shares(
    pull: NDArray[np.float64], scale: float, least: NDArray[np.int64], most: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.clip(pull * scale, least, most)
