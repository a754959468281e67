"""One mini-batch of a network in one compiled call: drawn, gathered, scored, summed up.

Knows a network's scorer and where rows lie in memory. What it cannot do, the caller does step by step: it says so.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streameval.scoring.network import NetworkScorer
from streameval.storage.stored import StoredSource


class Drawn(NamedTuple):
    """Rows (size,) int64 as drawn, their losses (size,) in nats, the moments of those, and how many are right."""

    rows: NDArray[np.int64]
    losses: NDArray[np.float64]
    moments: list[float]
    right: int


class MiniBatchScorer:
    """Draws mini-batches with replacement from rows that lie in memory, with integer labels, and scores them."""

    def __init__(self, scorer: NetworkScorer, source: Any) -> None:
        from streameval.kernels import drawing
        from streameval.kernels.running import ALONE_ROWS, address_of

        self.most_rows = ALONE_ROWS
        self._source, self._scorer, self._flat = source, scorer, source.flat
        labels, values, spec = self._flat.labels, self._flat.values, np.zeros(drawing.SPEC, np.uint64)
        spec[drawing.POPULATION], spec[drawing.BATCH_ROWS] = source.rows, self._flat.batch_rows
        spec[drawing.FEATURES], spec[drawing.LABELS] = source.features, address_of(labels)
        spec[drawing.LABEL_BYTES], spec[drawing.LABEL_WIDTH] = labels.nbytes, labels.itemsize
        spec[drawing.SIGNED] = labels.dtype.kind == "i"
        spec[drawing.CLASSES] = min(scorer.classes or 0, source.classes or 1 << 63)
        self._spec, self._values = spec, (address_of(values), values.size)

    @classmethod
    def of(cls, scorer: Any, source: Any) -> MiniBatchScorer | None:
        """What does it for this scorer and source; None where something else must."""
        from streameval.kernels.drawing import LARGEST_POPULATION

        # Not what wraps one: it reads rows in its own way.
        flat = source.flat if type(source) is StoredSource else None
        fits = (
            isinstance(scorer, NetworkScorer)
            and scorer.classes is not None
            and flat is not None
            and 1 < source.rows <= LARGEST_POPULATION
            # Labels are put together byte by byte, the lowest first.
            and sys.byteorder == "little"
            and flat.labels.dtype.isnative
            and flat.labels.dtype.kind in "iu"
            and flat.labels.flags.c_contiguous
        )
        return cls(scorer, source) if fits else None

    def __call__(self, size: int, seed: int) -> Drawn | None:
        """The mini-batch of this seed, 0 to 2**128 - 1: the rows `samples.with_replacement` draws.

        None where a label is no class or a loss is not finite: who looks at the rows again can say where.
        """
        from streameval.kernels import drawing

        self._source.check_size()
        spec, rows, losses = self._spec.copy(), np.empty(size, np.int64), np.empty(size)
        spec[drawing.SEED_LOW], spec[drawing.SEED_HIGH] = seed & 0xFFFFFFFFFFFFFFFF, seed >> 64
        summary = np.zeros(drawing.SUMMARY)
        self._scorer.forward.minibatch(*self._values, spec, self._flat.bases, rows, losses, summary)
        *moments, right, usable = summary.tolist()
        return Drawn(rows, losses, moments, int(right)) if usable else None
