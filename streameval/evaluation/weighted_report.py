"""What a weighted evaluation found: the exact sums whose ratio the mean is, and what belongs to it.

Knows sums and their error. Does not know how rows come to be weighed, nor how results are shown.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from streameval.defaults import FURTHER_DATA, LEVEL
from streameval.evaluation.carried import Carried
from streameval.evaluation.names import DataName, data_dict, model_dict
from streameval.evaluation.state import UNITS, Classification, LossSums
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.statistics.clusters import ENOUGH, Clustered
from streameval.statistics.intervals.method import Interval
from streameval.storage.source import Source

SCHEMA = "streameval/weighted/1"
METHOD = "delta"
ASSUMES = (
    "Approximately, for further data of the same kind whose weights come the same way: a ratio of two sums, "
    "linearised. Assumed: rows are independent of each other, many, and none outweighs the others."
)


@frozen
class WeightedSums:
    """Exact sums of rows: of weight times loss, of weights, and of both added, from which their product follows.

    weight times loss is `values`, weight `weights`; `classes` and `class_weights` the same by true class. `worst` is
    empty: these sums know no numbers of rows
    """

    values: LossSums = field(default_factory=LossSums)
    weights: LossSums = field(default_factory=LossSums)
    both: LossSums = field(default_factory=LossSums)
    classes: Classification | None = None
    class_weights: Classification | None = None
    ignored: int = 0
    left_out: int = 0

    def __add__(self, other: WeightedSums) -> WeightedSums:
        return WeightedSums(
            self.values + other.values,
            self.weights + other.weights,
            self.both + other.both,
            _joined(self.classes, other.classes),
            _joined(self.class_weights, other.class_weights),
            self.ignored + other.ignored,
            self.left_out + other.left_out,
        )

    @property
    def mean(self) -> float | None:
        """sum of weight times loss / sum of weights, rounded once; None where that is 0."""
        return float(Fraction(self.values.units, self.weights.units)) if self.weights.units else None

    @property
    def stderr(self) -> float | None:
        """sqrt(n / (n - 1) sum (v - r w)^2) / sum w, v weight times loss, w weight, r the mean; None for fewer than
        two rows: the error of a ratio, linearised."""
        n, total = self.values.rows, self.weights.units
        if n < 2 or not total:
            return None
        products = (
            self.both.units_squared - self.values.units_squared - self.weights.units_squared
        )  # 2 sum v w
        r = Fraction(self.values.units, total)
        spread = self.values.units_squared - r * products + r * r * self.weights.units_squared
        # Rows are added as float64 for `both`: what is 0 may come out a little below.
        variance: Fraction = max(spread, Fraction(0)) * Fraction(n, n - 1)
        return math.sqrt(variance) / total

    @property
    def largest_share(self) -> float:
        """The largest weight over their sum."""
        return (
            float(Fraction(self.weights.largest) * UNITS / self.weights.units) if self.weights.units else 1.0
        )

    @property
    def effective(self) -> float:
        """(sum w)^2 / sum w^2: how many rows of equal weight there might as well be (L. Kish 1965)."""
        squared = self.weights.units_squared
        return float(Fraction(self.weights.units**2, squared)) if squared else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON, losing nothing."""
        return {name: getattr(self, name).to_dict() for name in ("values", "weights", "both")} | {
            "ignored": self.ignored,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, repr=False)
class Weighted(Carried):
    """The weighted mean loss of a model over rows of a data set, exactly, and what belongs to it.

    sums     the exact sums · loss_function: what a row costs before it is weighted
    denominator  what the sum of losses is divided by, in words
    class_weights, ignore_index, weights  what was given; of weights of rows, the name of their column or "array"
    """

    sums: WeightedSums
    loss_function: Loss
    model: Model
    data: Source | DataName
    scorer: str
    denominator: str
    class_weights: tuple[float, ...] | None = None
    ignore_index: int | None = None
    weights: str | None = None

    @property
    def loss(self) -> float | None:
        """sum(weight * loss) / sum(weight), in the loss's unit; None where no row has a weight."""
        return self.sums.mean

    @property
    def loss_sum(self) -> float:
        """sum(weight * loss)."""
        return self.sums.values.total

    @property
    def weight_sum(self) -> float:
        """sum(weight), the denominator."""
        return self.sums.weights.total

    @property
    def rows(self) -> int:
        """Rows that count, each once; those of weight 0 among them."""
        return self.sums.values.rows

    @property
    def correct(self) -> int | None:
        """Rows predicted right, each counted once; None where rows have no classes."""
        return None if self.sums.classes is None else self.sums.classes.correct

    @property
    def stderr(self) -> float | None:
        """By the delta method, for further data of the same kind: see `WeightedSums.stderr`."""
        return self.sums.stderr

    def interval(self, level: float = LEVEL) -> Interval | None:
        """Where the weighted mean of further data of the same kind lies, approximately; None without an error."""
        if self.loss is None or self.stderr is None:
            return None
        error = Clustered(self.loss, self.stderr, self.rows, self.sums.largest_share)
        found = error.interval(level)
        warning = None
        if error.alike:
            warning = "All rows cost the same: a spread of 0 says nothing of rows that are not among these."
        elif found.warning is not None or self.sums.effective < ENOUGH:
            warning = (
                f"{self.rows} rows, the heaviest with {100 * self.sums.largest_share:.0f} % of the weight, count like "
                f"{self.sums.effective:.0f} of equal weight, which are few: the interval is likely too short."
            )
        return replace(found, method=METHOD, assumes=ASSUMES, warning=warning)

    @property
    def digest(self) -> str:
        """SHA-256 of the sums: the same for any chunks and threads, and for the same rows in another order."""
        return hashlib.sha256(json.dumps(self.sums.to_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """Of each true class: rows, weight, loss (their weighted mean) and accuracy; none where rows have none."""
        if self.sums.classes is None or self.sums.class_weights is None:
            return []
        pairs = zip(self.sums.classes.classes, self.sums.class_weights.classes, strict=True)
        return [
            {
                "class": k,
                "rows": one.rows,
                "weight": float(Fraction(weight.units, UNITS)),
                "loss": float(Fraction(one.units, weight.units)) if weight.units else None,
                "accuracy": one.accuracy,
            }
            for k, (one, weight) in enumerate(pairs)
        ]

    def __repr__(self) -> str:
        return f"<Weighted: loss {self.loss} of {self.rows} rows, weight {self.weight_sum:.10g}>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        interval = self.interval()
        return {
            "schema": SCHEMA,
            "loss": self.loss,
            "loss_sum": self.loss_sum,
            "weight_sum": self.weight_sum,
            "denominator": self.denominator,
            "loss_name": self.loss_function.name,
            "eps": getattr(self.loss_function, "eps", None),
            **self.loss_function.options,
            "rows": self.rows,
            "ignored": self.sums.ignored,
            "left_out": self.sums.left_out,
            "correct": self.correct,
            "accuracy": self.correct / self.rows if self.rows and self.correct is not None else None,
            "stderr": self.stderr,
            "interval": None if interval is None else interval.to_dict() | {"estimates": FURTHER_DATA},
            "per_class": self.per_class,
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "ignore_index": self.ignore_index,
            "weights": self.weights,
            "digest": self.digest,
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
            "scorer": self.scorer,
        }


def _joined(one: Classification | None, two: Classification | None) -> Classification | None:
    return two if one is None else one if two is None else one + two
