"""One model against another on the same rows, with every claim that is made of them. Knows no model and no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streameval.frozen import frozen
from streameval.statistics.clusters import FLAT, Clustered, as_dict
from streameval.statistics.decided import Decision, Evidence
from streameval.statistics.intervals.method import Interval
from streameval.statistics.mcnemar import McNemar
from streameval.statistics.multiple import e_bh, holm
from streameval.statistics.paired import Pair, PairedClass
from streameval.statistics.power import Power
from streameval.statistics.student import t_beyond
from streameval.statistics.until import Step, StoppingResult


@frozen(eq=False)
class PairedResult:
    """One model against the first, on the same rows; every difference is second - first: below 0 the second is better.

    pair        means, correlation, win rate and classes on the rows read: see `streameval.statistics.paired.Pair`
    difference  interval of the mean difference, in nats (of accuracy: shares of rows that are wrong)
    estimates   what it is about: "these rows", of which some were drawn, or "further data", of which these are a sample
    stopped     how a sequential form ended, None after a pass over all rows
    loss        with stored losses: interval of the second model's full loss by the difference estimator, else None
    steps       what the sequential form knew at every look
    evidence    e-value and p-value against a mean difference of 0, valid at any look and for any number of rows; None
                where losses have no bound, and for further data where rows come in groups
    p_approximate  of Student's t on further data, for many rows; None where these rows are meant
    clustered   the error by groups, where there are some
    simultaneous  the interval at which all of several hold together, by Bonferroni; None for one alone
    p_holm, e_bh  of several: p-value adjusted by Holm; whether the e-value stands, with false discoveries at 1 - level
    mcnemar     exact comparison of accuracies on further data; None where rows have no classes, or one is not known
    power       what further data would show, approximately; None where these rows are meant
    first_full  with stored losses: the exact loss of all rows of the first
    weighted    whether rows were drawn by stored losses: then every number of `pair` is an estimate for all rows
    """

    pair: Pair
    difference: Interval
    estimates: str
    stopped: StoppingResult | Decision | None = None
    loss: Interval | None = None
    steps: tuple[Step, ...] = ()
    evidence: Evidence | None = None
    p_approximate: float | None = None
    clustered: Clustered | None = None
    simultaneous: Interval | None = None
    p_holm: float | None = None
    e_bh: bool | None = None
    mcnemar: McNemar | None = None
    power: Power | None = None
    first_full: float | None = None
    weighted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        pair, half = self.pair, self.pair.unpaired_half_width
        interval = self.difference.to_dict()
        return {
            "first": pair.first,
            "second": pair.second,
            "rows_read": pair.rows,
            "first_loss": pair.first_loss,
            "second_loss": pair.second_loss,
            "difference": {"mean": pair.difference, **interval},
            "interval": interval,
            "estimates": self.estimates,
            "e_value": None if self.evidence is None else self.evidence.e_value,
            "p_value": None if self.evidence is None else self.evidence.p_value,
            "p_value_approximate": self.p_approximate,
            "p_value_holm": self.p_holm,
            "e_bh": self.e_bh,
            "simultaneous": None if self.simultaneous is None else self.simultaneous.to_dict(),
            **as_dict(self.clustered),
            "mcnemar": None if self.mcnemar is None else self.mcnemar.to_dict(),
            "power": None if self.power is None else self.power.to_dict(),
            "unpaired": {"low": pair.difference - half, "high": pair.difference + half, "half_width": half},
            "sd": pair.sd,
            "correlation": pair.correlation,
            "win_rate": pair.win_rate,
            "tie_rate": pair.tie_rate,
            "per_class": [_class_dict(row) for row in pair.per_class],
            "fraction": None if self.stopped is None else self.stopped.fraction,
            "stopped": None if self.stopped is None else self.stopped.stopped,
            "loss": self._loss(),
            "first_full_loss": self.first_full,
        }

    @property
    def full_loss(self) -> float | None:
        """With stored losses: the estimate of the second model's full loss by the difference estimator, else None."""
        if self.loss is None or self.first_full is None:
            return None
        if isinstance(self.stopped, StoppingResult):
            return self.stopped.loss
        return self.first_full + self.pair.difference

    def _loss(self) -> dict[str, Any] | None:
        return None if self.loss is None else {"mean": self.full_loss, **self.loss.to_dict()}


def together(results: Sequence[PairedResult], level: float) -> tuple[PairedResult, ...]:
    """The results with what several of them allow: p-values adjusted by Holm, e-values by Benjamini and Hochberg."""
    known = [one.evidence for one in results if one.evidence is not None]
    if len(results) < 2 or len(known) < len(results):
        return tuple(results)
    adjusted = holm([one.p_value for one in known])
    made = e_bh([one.e_value for one in known], 1.0 - level)
    return tuple(
        replace(one, p_holm=p, e_bh=claimed) for one, p, claimed in zip(results, adjusted, made, strict=True)
    )


def p_of(mean: float, stderr: float | None, freedom: float) -> float | None:
    """Two-sided p-value of Student's t; None without a spread, but for rounding."""
    if not stderr or math.isnan(stderr) or stderr <= FLAT * abs(mean) or freedom < 1:
        return None
    return t_beyond(abs(mean) / stderr, freedom)


def _class_dict(row: PairedClass) -> dict[str, Any]:
    return {
        "class": row.label,
        "rows": row.rows,
        "difference": row.difference,
        "stderr": row.stderr,
        "win_rate": row.win_rate,
    }
