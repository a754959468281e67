"""One pass under the conventions of several libraries: what each would call the cross-entropy of the same outputs.

Knows the conventions. Does not know how they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streameval.arguments import integer
from streameval.defaults import CHUNK_ROWS
from streameval.errors import UsageError
from streameval.evaluation.carried import Carried
from streameval.evaluation.names import DataName, data_dict, model_dict
from streameval.evaluation.opening import subject
from streameval.evaluation.passes import compute, nonfinite
from streameval.evaluation.selection import Rows, Selection
from streameval.evaluation.state import State
from streameval.frozen import frozen
from streameval.losses import ClippedCrossEntropy, CrossEntropy
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.showing import with_progress
from streameval.storage.source import Source, Span

SCHEMA = "streameval/semantics/1"
DOUBLE = 2.0**-52  # of float64, the least that makes 1 another number


@frozen
class Convention:
    """What somebody calls the cross-entropy.

    name   whose it is · call: what is written there · loss: as it is computed here · why: one sentence, for people
    """

    name: str
    call: str
    loss: Loss
    why: str


CONVENTIONS: Final = (
    Convention(
        "article", "-np.sum(t * np.log(y + 1e-7)) / n", CrossEntropy(1e-7),
        "1e-7 is added to every probability, so that log(0) is never taken: a sure row costs -1e-7, and no row "
        "more than 16.118.",
    ),
    Convention(
        "PyTorch", "torch.nn.functional.cross_entropy(logits, t)", CrossEntropy(0.0),
        "Nothing is added or clipped: log-softmax is taken of the logits, so that a row that is wrong and sure costs "
        "what its logits say, without end.",
    ),
    Convention(
        "Keras", "keras.losses.CategoricalCrossentropy()(t, y)", ClippedCrossEntropy(1e-7, normalized=True),
        "Probabilities are divided by their sum and clipped to 1e-7 and 1 - 1e-7: rows between the ends cost what they "
        "cost in PyTorch, none more than 16.118 or less than 1e-7; with from_logits=True it is PyTorch's number.",
    ),
    Convention(
        "scikit-learn", "sklearn.metrics.log_loss(t, y)", ClippedCrossEntropy(DOUBLE),
        "Probabilities are clipped to the precision of their type, 2.2e-16 for float64: a row costs 36.04 at most; the "
        "same probabilities as float32 are clipped to 1.2e-7, 15.94 at most, which is another number.",
    ),
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Semantics(Carried):
    """What one pass comes to under each of the conventions; `states` in their order."""

    model: Model
    data: Source | DataName
    states: tuple[State, ...]
    scorer: str
    conventions: tuple[Convention, ...] = CONVENTIONS

    @property
    def rows(self) -> int:
        """Rows in the sums."""
        return self.states[0].rows

    @property
    def losses(self) -> dict[str, float | None]:
        """The mean loss in nats by the name of the convention; None without rows that are finite."""
        return {one.name: self.loss(k) for k, one in enumerate(self.conventions)}

    def infinite(self, k: int) -> int:
        """Rows that cost infinity under the k-th convention, -log(0), and are finite under the first."""
        return self.states[k].sums.left_out - self.states[0].sums.left_out

    def loss(self, k: int) -> float | None:
        """The mean loss under the k-th convention: infinite if a row's is."""
        return math.inf if self.infinite(k) else self.states[k].loss

    def __repr__(self) -> str:
        return f"<Semantics of {self.rows} rows: {self.losses}>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "rows": self.rows,
            "left_out": self.states[0].sums.left_out,
            "conventions": [
                {
                    "name": one.name,
                    "call": one.call,
                    "loss": None if self.infinite(k) else state.loss,
                    "loss_sum": None if self.infinite(k) else state.sums.total,
                    "infinite_rows": self.infinite(k),
                    "max": state.sums.largest if state.rows else None,
                    "formula": one.loss.formula,
                    "why": one.why,
                    "digest": state.digest,
                }
                for k, (one, state) in enumerate(zip(self.conventions, self.states, strict=True))
            ],
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
            "scorer": self.scorer,
        }


@with_progress("evaluating")
def semantics(
    model: Model | Outputs,
    data: Any = None,
    *,
    rows: Rows = None,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    allow_nonfinite: bool = False,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Semantics:
    """Return the cross-entropy of the rows as the article, PyTorch, Keras and scikit-learn have it: nats, one pass.

    Arguments and errors as for `evaluate`. Each row is read once; its outputs are computed once for each convention.
    The numbers are those of the libraries on the same logits, or on their softmax in float64.
    """
    network, source, _ = subject(model, data, None if _values(model) else CrossEntropy(), None)
    selection = Selection.of(rows, source)
    scorers = [make_scorer(network, source, one.loss, Budget(threads)) for one in CONVENTIONS]
    states = [State.empty(scorer.classes) for scorer in scorers]
    for part in compute(
        scorers, source, selection.tasks([Span(0, len(selection))]),
        chunk_rows=integer("chunk_rows", chunk_rows, least=1), allow_nonfinite=True,
    ):  # fmt: skip
        wrong = ~np.isfinite(part.losses[0])
        if wrong.any() and not allow_nonfinite:
            row = int(selection.within(part.span).numbers()[np.argmax(wrong)])
            raise nonfinite(source, row, int(wrong.sum()), len(part.span))
        states = [state + tally.state for state, tally in zip(states, part.tallies, strict=True)]
        if callable(progress):
            progress(part.span.stop, len(selection))
    return Semantics(network, source, tuple(states), scorers[0].name)


def _values(model: Any) -> bool:
    """Whether saved outputs are values: raises UsageError, since nothing of a loss can be taken of those."""
    if isinstance(model, Outputs) and model.value is not None:
        raise UsageError(
            f"{model.name}: {model.value.detail} was saved, and can be turned into no other loss. Name logits= "
            "(--logits) or probabilities= (--probabilities)."
        )
    return False
