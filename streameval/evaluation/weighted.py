"""The mean loss where rows do not count alike: class weights, weights of rows, a label that is ignored; one pass.

Knows how a row's loss comes to be weighed. What the sums say, `weighted_report` knows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.defaults import CHUNK_ROWS
from streameval.elementary import log
from streameval.errors import DataError, LabelError, StreamevalWarning, UsageError
from streameval.evaluation.evaluate import LN10, MOST_OFF
from streameval.evaluation.opening import subject
from streameval.evaluation.passes import nonfinite, read
from streameval.evaluation.selection import Rows, Selection, row_numbers
from streameval.evaluation.state import UNITS, LossSums, fold_classes, fold_losses
from streameval.evaluation.weighted_report import Weighted, WeightedSums
from streameval.frozen import frozen
from streameval.losses import CrossEntropy
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget, Scorer
from streameval.showing import with_progress
from streameval.storage.opening import open
from streameval.storage.source import Chunk, Source, Span, with_any_targets

# Beyond it the sum of a loss and its weight may not fit into the exact sums: see `kernels.folding`.
LARGEST_WEIGHT = float(1 << 20)
Floats = NDArray[np.float64]


@with_progress("evaluating")
def evaluate_weighted(
    model: Model | Outputs,
    data: Any = None,
    *,
    class_weights: Sequence[float] | None = None,
    ignore_index: int | None = None,
    weights: Any = None,
    rows: Rows = None,
    loss: Loss | None = None,
    eps: float | None = None,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    allow_nonfinite: bool = False,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Weighted:
    """Return sum(weight * loss) / sum(weight) over the rows, both sums exact, as PyTorch's `cross_entropy` has it.

    class_weights  (classes,) at least 0: w_k weighs the term of class k. A label's row has the weight w_label; of
                   soft rows, which have no label, each counts 1 in the denominator
    ignore_index   a label, inside or outside of the classes, whose rows count nowhere
    weights        (rows,) at least 0, one for each row of the data set, or the name of a column of it: a row's loss and
                   its weight are multiplied by it
    others         as for `evaluate`

    Label smoothing spreads before the classes are weighed, as there. Saved outputs need `whole=True` for that, and
    `ignore_index` when they are opened.

    Raises as `evaluate`; UsageError for weights of another number or no numbers, and where nothing was given that
    weighs; DataError for a weight that is not from 0 to below 1,048,576, and where none is above 0; LabelError for a
    label that is no class and not ignored. A StreamevalWarning tells weights so small that the sums, which count in
    steps of 2**-40, take digits off the mean.
    """
    if class_weights is None and ignore_index is None and weights is None:
        raise UsageError(
            "class_weights, ignore_index, weights: none was given. For the plain mean: evaluate(...)."
        )
    if ignore_index is not None and data is not None:
        data = with_any_targets(open(data))  # labels are looked at here
    network, source, chosen = subject(model, data, loss, eps)
    weighing = _Weighing.of(network, source, chosen, class_weights, ignore_index, weights)
    selection, total = Selection.of(rows, source), WeightedSums()
    scorer = make_scorer(network, source, weighing.plain, Budget(threads))
    size = weighing.chunk_rows(integer("chunk_rows", chunk_rows, least=1))
    for place, chunk in read(source, selection.tasks([Span(0, len(selection))]), size):
        total += weighing.sums(scorer, source, chunk, allow_nonfinite)
        if callable(progress):
            progress(place + len(chunk), len(selection))
    _check_size(source.name, total)
    return Weighted(
        total, chosen, network, source, scorer.name, weighing.denominator, weighing.by_class, weighing.ignored,
        weights if isinstance(weights, str) else None if weights is None else "array",
    )  # fmt: skip


def _check_size(name: str, sums: WeightedSums) -> None:
    """Raise DataError without a weight; warn where weights are so small that the steps of the sums take digits off."""
    values, weights = sums.values, sums.weights
    if not weights.largest:
        raise DataError(f"{name}: no row has a weight, so there is no mean. Expected one at least.")
    cure = f"Multiply all weights by a constant, such as by {10.0 ** math.ceil(-log(weights.largest) / LN10):.0e}"
    if not weights.units:
        raise DataError(
            f"{name}: weights of {weights.largest:.3g} at most are too small for sums in steps of 2^-40 = 9.1e-13. "
            f"{cure}: the mean stays what it is."
        )
    lost = not values.units and values.largest > 0.0
    # A row is off by half a step at most, in the sum of losses and in that of weights.
    steps = 0.5 * values.rows
    off = math.inf if lost else steps / abs(values.units) + steps / weights.units if values.units else 0.0
    if off > MOST_OFF and weights.units < UNITS * values.rows:
        much = "is lost" if lost else f"may be off by up to {100 * off:.2g} %"
        warnings.warn(
            f"{name}: weights are so small, {weights.total / values.rows:.2g} on average, that their mean {much}: "
            f"losses and weights are added up in steps of 2^-40 = 9.1e-13. {cure}.",
            StreamevalWarning,
            stacklevel=2,
        )


@frozen(eq=False)
class _Weighing:
    """How a row's loss comes to be weighed.

    loss  as it was asked for · plain: without smoothing, where targets are smoothed here
    """

    loss: Loss
    plain: Loss
    outputs: int
    by_class: tuple[float, ...] | None
    ignored: int | None
    by_row: Floats | None

    @classmethod
    def of(
        cls, model: Model, source: Source, loss: Loss, class_weights: Any, ignore_index: Any, weights: Any
    ) -> _Weighing:
        by_class = None
        if class_weights is not None or ignore_index is not None:
            if not isinstance(loss, CrossEntropy):
                raise UsageError(
                    "class_weights (--class-weights), ignore_index (--ignore-index): of cross-entropy, but the loss "
                    f"is {loss.name}. Leave them out; weights of rows go with any loss."
                )
            if ignore_index is not None and source.soft:
                raise UsageError(
                    f"ignore_index (--ignore-index): labels are ignored, but the targets of {source.name} are rows of "
                    "weights. Leave it out."
                )
        if class_weights is not None:
            by_class = tuple(
                checked_weights("class_weights (--class-weights)", class_weights, model.outputs).tolist()
            )
        if isinstance(weights, str):
            from streameval.storage.columns import column_of

            weights = column_of(source, weights)
        by_row = (
            None if weights is None else checked_weights("weights (--weight-column)", weights, source.rows)
        )
        plain = loss
        if by_class is not None and isinstance(loss, CrossEntropy):
            plain = replace(loss, label_smoothing=0.0)
        ignored = None if ignore_index is None else integer("ignore_index", ignore_index)
        return cls(loss, plain, model.outputs, by_class, ignored, by_row)

    @property
    def denominator(self) -> str:
        """In words."""
        parts = ["class weight of its label"] * (self.by_class is not None) + ["weight"] * (
            self.by_row is not None
        )
        ignored = "" if self.ignored is None else f", label {self.ignored} apart"
        return f"sum over rows of the {' times the '.join(parts)}{ignored}" if parts else f"rows{ignored}"

    @property
    def smoothing(self) -> float:
        """Of labels."""
        return self.loss.label_smoothing if isinstance(self.loss, CrossEntropy) else 0.0

    @property
    def spreads(self) -> bool:
        """Whether a label's row costs something of every class."""
        return self.by_class is not None and self.smoothing > 0.0

    def chunk_rows(self, wanted: int) -> int:
        """Rows of a chunk: fewer where each takes a number for each of many classes."""
        return min(wanted, max(1, (1 << 21) // self.outputs)) if self.spreads else wanted

    def sums(self, scorer: Scorer, source: Source, chunk: Chunk, allow_nonfinite: bool) -> WeightedSums:
        """What the rows of a chunk come to."""
        numbers = row_numbers(chunk)
        counted = np.ones(len(chunk), bool)
        if self.ignored is not None and chunk.t.ndim == 1:
            counted = chunk.t != self.ignored
            t = np.where(counted, chunk.t, 0)
            self._check_labels(source, numbers, t)
            chunk = replace(chunk, t=t, largest_label=-1)
        weight = np.ones(len(chunk)) if self.by_row is None else self.by_row[numbers]
        scores, value, weight = self._weighed(scorer, chunk, weight)
        wrong = counted & ~np.isfinite(value)
        if wrong.any() and not allow_nonfinite:
            raise nonfinite(source, int(numbers[np.argmax(wrong)]), int(wrong.sum()), len(chunk))
        kept = counted & ~wrong
        value, weight, numbers = value[kept], weight[kept], numbers[kept]
        folded = [_sums(one, numbers) for one in (value, weight, value + weight)]
        if any(one.left_out for one in folded):
            raise DataError(
                f"{source.name}: a weight times a loss is over 4e6, which exact sums do not hold. Divide all weights "
                "by a constant: the mean stays what it is."
            )
        classes = class_weights = None
        if scorer.classes is not None:
            true, seen = scores.target[kept], scores.predicted[kept]
            classes = fold_classes(value, true, seen, scorer.classes)
            class_weights = fold_classes(weight, true, seen, scorer.classes)
        return WeightedSums(
            folded[0], folded[1], folded[2], classes, class_weights, int((~counted).sum()), int(wrong.sum())
        )

    def _weighed(self, scorer: Scorer, chunk: Chunk, weight: Floats) -> tuple[Any, Floats, Floats]:
        """Scores of the rows, weight times loss, and weight."""
        if self.by_class is None:
            scores = scorer.score(chunk)
            return scores, scores.loss * weight, weight
        by_class = np.array(self.by_class)
        if chunk.t.ndim == 1 and not self.spreads:
            scores = scorer.score(chunk)
            mine = weight * by_class[chunk.t]
            return scores, scores.loss * mine, mine
        smoothing = self.smoothing
        rows = np.eye(self.outputs)[chunk.t] if chunk.t.ndim == 1 else chunk.t
        spread = ((1.0 - smoothing) * rows + smoothing / self.outputs) * by_class
        scores = scorer.score(replace(chunk, t=spread, largest_label=0))
        target = chunk.t if chunk.t.ndim == 1 else np.argmax(chunk.t, axis=1)
        mine = weight * by_class[chunk.t] if chunk.t.ndim == 1 else weight
        return replace(scores, target=target), scores.loss * weight, mine

    def _check_labels(self, source: Source, numbers: NDArray[np.int64], t: NDArray[np.int64]) -> None:
        wrong = (t < 0) | (t >= self.outputs)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise LabelError(
                f"{source.name}, row {int(numbers[row])}: label {int(t[row])} ({int(wrong.sum())} such rows), expected "
                f"{self.outputs} classes (0..{self.outputs - 1}), or {self.ignored}, which is ignored. Correct "
                "the labels."
            )


def _sums(values: Floats, numbers: NDArray[np.int64]) -> LossSums:
    """The sums of (n,) values, without the numbers of rows: no sum depends on where its rows lie."""
    return replace(fold_losses(values, numbers)[0], worst=())


def checked_weights(name: str, given: Any, count: int) -> Floats:
    """Weights (count,) float64. Raises UsageError for another number of them, DataError for what is none."""
    weights = np.asarray(given)
    if weights.ndim != 1 or weights.dtype.kind not in "iufb" or len(weights) != count:
        raise UsageError(f"{name}: {weights.dtype} of shape {weights.shape}, expected {count} numbers.")
    weights = weights.astype(np.float64)
    wrong = ~((weights >= 0.0) & (weights < LARGEST_WEIGHT))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise DataError(
            f"{name}, number {k}: {weights[k]}, expected 0 or more, and less than {LARGEST_WEIGHT:.0f}; divide all "
            "weights by a constant, the mean stays what it is."
        )
    return weights
