"""Is the order of the rows random? Strides, periods, blocks, trend and repeats, with what it would cost to pretend.

Knows losses in file order, as an array that may be a mapped file. Does not know why rows lie as they do.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from streameval.elementary import LN2, dot, exp, log
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics import periods, repeats, tiles
from streameval.statistics.intervals.method import quantile
from streameval.statistics.intervals.unseen import rough_percent
from streameval.statistics.looks import Finding, Look
from streameval.statistics.population import Population
from streameval.statistics.residues import Residues
from streameval.statistics.tails import NODES, Tails

FALSE_ALARM = 0.001
ROUNDING = (
    1e-12  # of the largest loss: the mean of as many as 10**8 rows is off by less, next to such a spread
)
RAREST = 1e-4  # 20,000 shuffled copies are enough for a rate of this
# How the false alarms that are allowed are shared out among the kinds of looks.
SHARES = {"stride": 0.3, "period": 0.1, "block": 0.5, "trend": 0.05, "repeat": 0.05}


@frozen
class Order:
    """The audit.

    random       nothing was flagged
    even, odd    mean loss of the even and of the odd rows, counted from 0; in nats
    findings     every look that was possible, with its limit
    false_alarm  bounds the chance that a random order is flagged at all, for any losses
    unnoticed    the relative error of a sample of every second row that could just have gone unnoticed; None where
                 nothing was flagged for want of rows or of differences
    message      what was found, or how much was looked at
    """

    random: bool
    even: float
    odd: float | None
    findings: tuple[Finding, ...]
    false_alarm: float
    unnoticed: float | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def audit_order(
    losses: Any, population: Population | None = None, *, false_alarm: float = FALSE_ALARM, seed: int = 0
) -> Order:
    """Say whether a file's order looks random, and the price of pretending that it is.

    Each look is a z-score whose law under a random order is known to first order. One that passes its limit is
    flagged only if it is as rare in truth: means (strides, periods, trend) by a Chernoff bound from all losses,
    blocks by permutations, repeats by counting. So the chance of a false alarm holds for any losses, however skew.
    Bonferroni over all looks. One pass, and a second where a look passed its limit; memory does not grow.

    seed: of the permutations, and of the blocks that a large file is tested on.
    """
    if not RAREST <= false_alarm < 1.0:
        raise UsageError(
            f"false alarm rate {false_alarm}: a number from {RAREST} to 1 was expected, such as 0.001."
        )
    whole = Population.of(losses) if population is None else population
    residues = Residues.of(losses, whole)
    even = residues.mean(2, 0)
    odd = residues.mean(2, 1) if whole.rows > 1 else None
    if whole.rows < 3 or whole.sd <= ROUNDING * max(-whole.smallest, whole.largest):
        equal = "All losses are equal" + (" but for rounding" if whole.smallest < whole.largest else "")
        said = equal if whole.rows > 2 else "One row" if whole.rows == 1 else "Two rows"
        return Order(True, even, odd, (), false_alarm, None, f"{said}: there is no order to test.")
    looks = [
        *residues.looks(),
        *periods.looks(losses, whole),
        *tiles.looks(losses, whole, SHARES["block"] * false_alarm, seed=seed),
        _trend(losses, whole),
        *repeats.looks(losses, whole, SHARES["repeat"] * false_alarm),
    ]
    judge = _Judge(losses, whole, false_alarm, {look.kind: 0 for look in looks})
    for look in looks:
        judge.tests[look.kind] += look.tests
    findings = tuple(judge.finding(look) for look in looks)
    flagged = [finding for finding in findings if finding.flagged]
    unnoticed = None if flagged else judge.unnoticed()
    said = _found(flagged, even, odd) if flagged else _looked_at(findings, whole, unnoticed)
    return Order(not flagged, even, odd, findings, false_alarm, unnoticed, said)


class _Judge:
    """Decides which looks are flagged. tests: kind -> how many z-scores were looked at."""

    def __init__(self, losses: Any, whole: Population, false_alarm: float, tests: dict[str, int]) -> None:
        self._losses, self._whole, self._false_alarm = losses, whole, false_alarm
        self.tests = tests
        self._tails: Tails | None = None

    @property
    def tails(self) -> Tails:
        """Of all losses: read at the first look that passes its limit."""
        if self._tails is None:
            self._tails = Tails.of(self._losses, self._whole)
        return self._tails

    def finding(self, look: Look) -> Finding:
        """Judge one look."""
        allowed = self._allowed(look.kind)
        limit = look.limit(allowed)
        chance = None
        if look.z is None or abs(look.z) > limit:
            chance = exp(min(0.0, look.log_chance(self.tails) + log(self.tests[look.kind])))
        # A rounding error more: a count can reach what is allowed exactly.
        flagged = chance is not None and chance <= SHARES[look.kind] * self._false_alarm * (1.0 + 1e-9)
        return Finding(look.kind, look.size, look.z, limit, flagged, look.price, chance)

    def unnoticed(self) -> float | None:
        """The smallest error of the mean of every second row that would have been flagged, relative; to 2 %."""
        whole, mean = self._whole, self._whole.mean
        if "stride" not in self.tests or mean == 0.0:
            return None
        half, needed = whole.rows // 2, log(0.5 * self._allowed("stride"))
        sd = whole.sd * math.sqrt((1.0 - half / whole.rows) / half)
        low = quantile(1.0 - self._allowed("stride")) * sd
        high = 8.0 * low
        for _ in range(7):  # to 2 %
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self.tails.mean_of(half, middle) <= needed else (middle, high)
        return high / abs(mean)

    def _allowed(self, kind: str) -> float:
        """The chance of a false alarm that each test of a kind may have."""
        return SHARES[kind] * self._false_alarm / self.tests[kind]


def _trend(losses: Any, whole: Population) -> Look:
    """The correlation of loss and place."""
    products, middle = [], 0.5 * (whole.rows - 1)
    for start in range(0, whole.rows, periods.PIECE_ROWS):
        gaps = np.asarray(losses[start : start + periods.PIECE_ROWS], np.float64) - whole.mean
        products.append(dot(gaps, np.arange(start, start + len(gaps), dtype=np.float64) - middle))
    scale = whole.sd * math.sqrt(whole.rows * (whole.rows + 1) / 12.0) * (whole.rows - 1)
    slope = math.fsum(products) / scale
    rows, total = whole.rows, abs(math.fsum(products))
    sign = math.copysign(1.0, slope)

    def log_chance(tails: Tails) -> float:
        # Each place stands for an interval of length 1 around it, of which a convex function's mean is not less.
        return LN2 + tails.weighted(sign * np.linspace(-0.5 * rows, 0.5 * rows, NODES + 1), rows, total)

    return Look("trend", 0, slope * math.sqrt(rows - 1), slope, 1, log_chance)


def _found(flagged: list[Finding], even: float, odd: float | None) -> str:
    said = []
    kinds = {kind: [finding for finding in flagged if finding.kind == kind] for kind in SHARES}
    strides = kinds["stride"]
    if strides:
        clearest = max(strides, key=lambda finding: abs(finding.z or 0.0))
        said.append(f"taking one row in {clearest.size} is wrong by up to {100 * abs(clearest.price):.1f} %")
    if any(finding.size == 2 for finding in strides) and odd is not None:
        said.append(f"even rows have mean loss {even:.4f}, odd rows {odd:.4f}")
    if kinds["block"]:
        worst = max(kinds["block"], key=lambda finding: finding.price)
        said.append(
            f"blocks of {worst.size} rows have {worst.price:.1f} times the variance of as many random rows"
        )
    if kinds["trend"]:
        said.append(f"the loss drifts along the file (correlation {kinds['trend'][0].price:+.3f})")
    if kinds["period"] and not strides:
        one = kinds["period"][0]
        said.append(f"the loss swings by {100 * one.price:.1f} % with a period of about {one.size} rows")
    if kinds["repeat"]:
        one = kinds["repeat"][0]
        said.append(
            f"about {rough_percent(one.price)} of the rows lie in stretches that come twice, as if files were joined "
            "that share rows"
        )
    return f"The order is not random: {'; '.join(said)}. Draw rows at random, never by stride or block."


def _looked_at(findings: tuple[Finding, ...], whole: Population, unnoticed: float | None) -> str:
    strides = [finding.size for finding in findings if finding.kind == "stride"]
    blocks = [finding.size for finding in findings if finding.kind == "block"]
    kinds = {finding.kind for finding in findings}
    seen = [f"strides 2 to {max(strides)}"] if len(strides) > 1 else ["stride 2"] if strides else []
    seen += ["periods"] * ("period" in kinds)
    seen += [f"blocks of {', '.join(map(str, blocks))} rows"] if blocks else []
    seen += ["trend"] * ("trend" in kinds) + ["repeated stretches"] * ("repeat" in kinds)
    weak = "" if unnoticed is None else (
        f" An error of up to {rough_percent(unnoticed)} in a sample of every second row could have gone unnoticed."
    )  # fmt: skip
    return (
        f"Nothing that was looked at in these {whole.rows:,} rows speaks against a random order "
        f"({'; '.join(seen)}).{weak} A keyed permutation is safe whatever the order."
    )
