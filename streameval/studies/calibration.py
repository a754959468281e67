"""Whether a model's probabilities mean what they say, on all rows of a data set. Knows how they are computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from streameval.arguments import integer
from streameval.defaults import BINS, CHUNK_ROWS, LEVEL
from streameval.errors import UsageError
from streameval.evaluation.carried import Carried
from streameval.evaluation.grouping import row_groups
from streameval.evaluation.names import data_dict, model_dict
from streameval.evaluation.opening import subject
from streameval.evaluation.passes import read, score_finite
from streameval.evaluation.selection import Selection
from streameval.frozen import frozen
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring import make_scorer
from streameval.scoring.detailed import DetailedScorer
from streameval.scoring.scorer import Budget
from streameval.statistics.calibration import (
    Estimate,
    ShareBand,
    brier,
    brier_scores,
    calibration_error,
    class_bands,
    reliability,
)
from streameval.statistics.intervals.method import checked_level
from streameval.storage.source import Source, Span

SCHEMA = "streameval/calibration/1"


@frozen(eq=False, repr=False)
class Calibration(Carried):
    """Of all rows exactly, with intervals for further data.

    brier    the Brier score · error: the calibration error of the predicted class, without its bias
    bins     accuracy by confidence, intervals that hold for all together · classes: the same by true class
    groups   of rows that are taken as independent, None where rows are
    """

    brier: Estimate
    error: Estimate
    bins: tuple[ShareBand, ...]
    classes: tuple[ShareBand, ...]
    rows: int
    groups: int | None
    level: float
    model: Model
    data: Source

    def __repr__(self) -> str:
        return (
            f"<Calibration: error {self.error.value:.6g}, Brier {self.brier.value:.6g} of {self.rows} rows>"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "brier": self.brier.to_dict(),
            "calibration_error": self.error.to_dict(),
            "bins": [one.to_dict() for one in self.bins],
            "classes": [one.to_dict() for one in self.classes],
            "rows": self.rows,
            "groups": self.groups,
            "level": self.level,
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
        }


def calibration(
    model: Model | Outputs,
    data: Any = None,
    *,
    bins: int = BINS,
    groups: Any = None,
    level: float = LEVEL,
    threads: int | None = None,
) -> Calibration:
    """Compute the probabilities of all rows and say whether they mean what they say.

    model    any that returns logits or probabilities, or saved ones of all classes (`open_outputs(..., whole=True)`)
    bins     of about as many rows each, by the probability of the predicted class
    groups   as for `evaluate`; bins and classes are then told, but their intervals still take rows as independent

    Holds 40 bytes a row. Raises UsageError for outputs without probabilities, and the errors of `evaluate`.
    """
    bins = integer("bins", bins, least=1)
    checked_level(level)
    network, source, loss = subject(model, data, None, None)
    scorer = DetailedScorer(make_scorer(network, source, loss, Budget(threads)))
    codes, count = (None, None) if groups is None else row_groups(groups, source)
    confidence, right = np.empty(source.rows), np.empty(source.rows, np.bool_)
    scores, labels = np.empty(source.rows), np.empty(source.rows, np.int64)
    everything = Span(0, source.rows)
    for place, chunk in read(source, Selection(everything).tasks([everything]), CHUNK_ROWS):
        part = slice(place, place + len(chunk))
        told = score_finite([scorer], source, chunk)[0]
        chances = told.probabilities
        if chances is None:
            raise UsageError(
                f"{network.path or source.name}: scored by {scorer.name!r}, which gives no probabilities of all "
                "classes. Expected a model of classes, or their saved outputs: open_outputs(..., whole=True)."
            )
        labels[part] = np.asarray(told.target, np.int64)
        right[part] = told.target == told.predicted
        scores[part] = brier_scores(chances, labels[part])
        confidence[part] = chances.max(axis=1)
    return Calibration(
        brier(scores, groups=codes, level=level),
        calibration_error(confidence, right, bins=bins, groups=codes, level=level),
        reliability(confidence, right, bins=bins, level=level),
        class_bands(right, labels, level=level),
        source.rows, count, level, network, source,
    )  # fmt: skip
