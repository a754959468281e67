"""Mini-batch losses as the article takes them, each with an interval for the loss of all rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from streameval.arguments import integer
from streameval.defaults import BATCH_SIZE, LEVEL, METHOD, SEED
from streameval.evaluation.carried import Carried
from streameval.evaluation.names import data_dict, model_dict
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.statistics.intervals import Interval
from streameval.statistics.seeds import recorded
from streameval.storage.source import Source
from streameval.studies.sampler import MiniBatch, kept_sampler

SCHEMA = "streameval/minibatch/2"


@frozen(eq=False, repr=False)
class MiniBatches(Carried):
    """Mini-batches drawn from one data set with one seed; `loss` and `interval` are those of the first."""

    batches: tuple[MiniBatch, ...]
    replace: bool
    seed: int | None
    loss_function: Loss
    model: Model
    data: Source

    @property
    def loss(self) -> float:
        """Mean loss of the first batch, in nats."""
        return self.batches[0].loss

    @property
    def interval(self) -> Interval:
        """Interval of the first batch."""
        return self.batches[0].interval

    def __repr__(self) -> str:
        return f"<MiniBatches: {len(self.batches)} of {self.data.name}, the first {self.batches[0]!r}>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the contract's names."""
        return {
            "schema": SCHEMA,
            "batches": [one.to_dict() for one in self.batches],
            "replace": self.replace,
            "seed": self.seed,
            "loss_name": self.loss_function.name,
            "eps": getattr(self.loss_function, "eps", None),
            **self.loss_function.options,
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
        }


def minibatch(
    model: Model | Outputs,
    data: Any = None,
    *,
    size: int = BATCH_SIZE,
    batches: int = 1,
    seed: int | np.random.Generator = SEED,
    replace: bool = True,
    level: float = LEVEL,
    method: str = METHOD,
    loss: Loss | None = None,
    eps: float | None = None,
    groups: Any = None,
    threads: int | None = None,
) -> MiniBatches:
    """Draw random rows, as in the article, and return their mean loss with an interval for the full loss.

    size     rows of a batch · batches: how many batches
    seed     an int, or a Generator that goes on where it is; the same seed draws the same rows anywhere
    replace  True: `Generator.integers(0, rows, size)` for each batch in turn, repeats happen, as in the article.
             False: the rows of a batch differ
    method   a row of `streameval.statistics.intervals.INTERVALS`
    groups   as in `evaluate`: the error for further data of which groups, not rows, are independent, beside the
             interval, which is for the rows that there are

    Raises:
        UsageError: a size or count below 1, or over the number of rows without replacement.
        DataError: a data set without rows; and the errors of `evaluate`.
    """
    size, batches = integer("size", size, least=1), integer("batches", batches, least=1)
    sampler = kept_sampler(
        model, data, level=level, method=method, loss=loss, eps=eps, groups=groups, threads=threads
    )
    drawn = sampler.first(batches, size, seed=seed, replace=replace)
    return MiniBatches(
        tuple(drawn), replace, recorded(seed), sampler.loss_function, sampler.model, sampler.data
    )
