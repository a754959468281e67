"""The result of an evaluation: what was computed, of what, at what cost.

Knows the names of the contract. Does not know how it looks on a screen: `reports` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from streameval.defaults import FURTHER_DATA
from streameval.evaluation.carried import Carried
from streameval.evaluation.identity import RESULT_VERSION, Identity
from streameval.evaluation.names import DataName, data_dict, model_dict
from streameval.evaluation.resources import Resources
from streameval.evaluation.sealed import seal
from streameval.evaluation.state import UNITS, State
from streameval.evaluation.tally import BLOCK_ROWS, Block, Tally
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring.rounding import Rounding
from streameval.statistics.accuracy import accuracy_interval
from streameval.statistics.clusters import as_dict
from streameval.statistics.intervals.method import Interval
from streameval.storage.checked import Hashed
from streameval.storage.source import Source

if TYPE_CHECKING:
    from streameval.evaluation.anatomy import Anatomy
    from streameval.evaluation.grouping import Clusters

SCHEMA, READABLE = "streameval/evaluate/2", ("streameval/evaluate/1", "streameval/evaluate/2")
UNIT = "a loss counts as rint(loss * 2**40) units"


@dataclass(frozen=True, repr=False)
class Report(Carried):
    """The loss of a model over rows of a data set, exactly, and what belongs to it.

    state      the exact sums; the properties below are read off it
    loss_function  what a row costs
    model, data   what was evaluated; of merged shards, its names
    resources  what it cost
    scorer     who computed the rows' losses: "native", the library of `--with` or of the object, "callable", "saved"
    tally      the state with the digests of blocks, where a pass kept them
    identity   what the pass was of, where it was a shard, had a checkpoint or ran on an engine
    clusters   errors by group of rows, where groups were given
    hashed     what was hashed as it was read, None where that was not asked for
    measured   what rounding costs, of merged shards, where it is not measured anew
    anatomy    what the losses are made of, None where nobody asked
    """

    state: State
    loss_function: Loss
    model: Model
    data: Source | DataName
    resources: Resources
    scorer: str = "native"
    tally: Tally | None = None
    identity: Identity | None = None
    clusters: Clusters | None = None
    hashed: Hashed | None = None
    measured: Rounding | None = None
    anatomy: Anatomy | None = None

    @property
    def loss(self) -> float | None:
        """Mean loss in the loss's unit, nats of cross-entropy; None without rows."""
        return self.state.loss

    @property
    def loss_sum(self) -> float:
        """Sum of the losses, in the same unit."""
        return self.state.sums.total

    @property
    def eps(self) -> float | None:
        """The eps of cross-entropy, None of another loss."""
        return getattr(self.loss_function, "eps", None)

    @property
    def rows(self) -> int:
        """Rows in the sums; repeats count."""
        return self.state.rows

    @property
    def correct(self) -> int | None:
        """Rows whose largest logit is at the true class (for soft targets: at their largest entry); None where rows
        have no classes."""
        return None if self.state.classification is None else self.state.classification.correct

    @property
    def accuracy(self) -> float | None:
        """correct / rows, None without rows or classes."""
        return self.correct / self.rows if self.rows and self.correct is not None else None

    @property
    def stddev(self) -> float | None:
        """Standard deviation of the losses (ddof 1), None for fewer than two rows."""
        return self.state.sums.stddev

    @property
    def stderr(self) -> float | None:
        """stddev / sqrt(rows): how far the loss of these rows, exact as it is, lies from that of further data of the
        same kind, if rows are independent; `stderr_clustered` where they come in groups."""
        return None if self.stddev is None else self.stddev / math.sqrt(self.rows)

    @property
    def stderr_clustered(self) -> float | None:
        """The same where groups, not rows, are independent; None without groups, or with one."""
        return None if self.clusters is None else self.clusters.loss.stderr

    @property
    def accuracy_interval(self) -> Interval | None:
        """Where the accuracy on further data of the same kind lies, at 95 %: Clopper and Pearson's, which holds for any
        number of rows, if they are independent. Scores that were saved, all of them 0 or 1, are right or wrong rows
        too. None without rows, or without either."""
        right = self.correct if self.state.classification is not None else self.right_scores
        return None if not self.rows or right is None else accuracy_interval(right, self.rows)

    @property
    def right_scores(self) -> int | None:
        """Rows with a score of 1, where all are 0 or 1: only then the sum of squares within 0 and 1 is the sum."""
        sums = self.state.sums
        scored = getattr(self.loss_function, "higher_is_better", False)
        within = scored and sums.smallest >= 0.0 and sums.largest <= 1.0
        return sums.units // UNITS if within and sums.units_squared == sums.units * UNITS else None

    @property
    def accuracy_interval_clustered(self) -> Interval | None:
        """The same where groups, not rows, are independent; approximately. None without groups or classes."""
        if self.clusters is None or self.clusters.accuracy is None:
            return None
        found = self.clusters.accuracy.interval()
        return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the state: the same bits for any chunks, threads and storage.

        It holds the numbers of the worst rows: rows that lie in another order have the same loss, and another digest.
        """
        return self.state.digest

    @cached_property
    def rounding(self) -> Rounding | None:
        """Losses of up to 32 rows beside float64, and a bound of how far they can be apart; measured when it is first
        asked for, while model and data are at hand. None for a scorer or layers without a reference."""
        if isinstance(self.data, DataName) or self.scorer != "native":
            return self.measured
        from streameval.scoring.rounding import measure

        return measure(self.model, self.data, self.loss_function)

    def __repr__(self) -> str:
        return (
            f"<Report: loss {self.loss} of {self.rows} rows, accuracy {self.accuracy}, digest {self.digest}>"
        )

    def _values(self) -> dict[str, Any]:
        # Measured now, while model and data are at hand.
        return super()._values() | {"measured": self.rounding}

    @property
    def blocks(self) -> tuple[Block, ...] | None:
        """What came of each block of 65,536 rows, if all rows were evaluated in order, else None."""
        everything = self.identity is None or self.identity.rows == "all"
        return self.tally.blocks(self.data.rows) if self.tally is not None and everything else None

    def to_dict(self) -> dict[str, Any]:
        """The report with the contract's names, ready for JSON.

        `sha256` is that of the rest (see `sealed`); with `state`, `meaning` and `blocks` it is what `verify` checks.
        """
        return seal(self._content())

    def _content(self) -> dict[str, Any]:
        sums = self.state.sums
        # The state keeps the largest values, which of scores are the best.
        scored = getattr(self.loss_function, "higher_is_better", False)
        return {
            "schema": SCHEMA,
            "loss": self.loss,
            "loss_sum": self.loss_sum,
            "loss_name": self.loss_function.name,
            "rows": self.rows,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval": further(self.accuracy_interval),
            "stddev": self.stddev,
            "stderr": self.stderr,
            **as_dict(None if self.clusters is None else self.clusters.loss),
            "accuracy_interval_clustered": further(self.accuracy_interval_clustered),
            "min": sums.smallest if self.rows else None,
            "max": sums.largest if self.rows else None,
            "left_out": sums.left_out,
            "eps": self.eps,
            **self.loss_function.options,
            "digest": self.digest,
            "per_class": [
                {"class": k, "rows": one.rows, "loss": one.loss, "accuracy": one.accuracy}
                for k, one in enumerate(self.state.classes)
            ],
            "confusion": [list(row) for row in self.state.confusion],
            "worst": None if scored else [{"row": row, "loss": loss} for loss, row in sums.worst],
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
            "scorer": self.scorer,
            "check": None if self.hashed is None else self.hashed.to_dict(),
            "rounding": None if self.rounding is None else self.rounding.to_dict(),
            "resources": self.resources.to_dict(),
            **_anatomy(self),
            "meaning": {
                "version": RESULT_VERSION,
                "loss": self.loss_function.formula,
                "unit": UNIT,
                "parameters": self.loss_function.to_dict(),
            },
            "state": self.state.to_dict(),
            "blocks": None if self.blocks is None else blocks_dict(self.blocks),
        }


def _anatomy(report: Report) -> dict[str, Any]:
    if report.anatomy is None:
        return {}
    from streameval.evaluation.anatomy_report import anatomy_dict

    return {"anatomy": anatomy_dict(report.anatomy, report.state)}


def blocks_dict(blocks: tuple[Block, ...]) -> dict[str, Any]:
    """The blocks in a report: their digests, and what they came to, so that the total follows from them."""
    parts = [{name: value for name, value in one.to_dict().items() if name != "digest"} for one in blocks]
    return {"rows": BLOCK_ROWS, "digests": [one.digest for one in blocks], "parts": parts}


def further(interval: Interval | None) -> dict[str, Any] | None:
    """An interval for further data of the same kind, in a report."""
    return None if interval is None else {**interval.to_dict(), "estimates": FURTHER_DATA}
