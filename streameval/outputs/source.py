"""Saved outputs as a data set: a value a row, in mapped temporary files. Fulfils `Source`.

Knows rows of numbers. Does not know where they were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses import Recorded, choose_loss
from streameval.losses.loss import Loss
from streameval.outputs.ids import Ids
from streameval.outputs.model import SavedModel
from streameval.storage import block_hashes
from streameval.storage.source import Chunk, Hashes, Span
from streameval.storage.stored import row_numbers


@frozen
class Groups:
    """Which cluster each row belongs to: codes (rows,) int64, mapped, and what each code means."""

    column: str
    codes: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(eq=False, repr=False)
class Outputs:
    """Saved outputs of one run, or of several on the same rows.

    values   (rows, features) float64, mapped. Of each run one column: the value that was saved; or two, where logits
             or probabilities were saved: the log-probability of the true class (or those of all, if they were opened
             whole), and the predicted class; or outputs and as many targets
    target   true classes (rows,) int64, mapped; zeros where rows have none
    models   the runs
    value    what the values are; None for logits and probabilities, of which a loss is computed
    sha256   of the run's values and classes
    ids, groups   of the rows, where they were named
    joined   how several runs were put together: rows, how, and of each run what was left out
    """

    name: str
    path: str | None
    values: NDArray[np.float64]
    target: NDArray[np.int64]
    classes: int | None
    models: tuple[SavedModel, ...]
    value: Recorded | None
    sha256: str
    files: tuple[str, ...] = ()
    ids: Ids | None = None
    groups: Groups | None = None
    joined: dict[str, Any] | None = None
    # What `Source` asks of any data set.
    scale: float = 1.0
    soft: bool = False
    io: str = "auto"
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows, self.features = len(self.values), int(self.values.shape[1])
        self.shape: tuple[int, ...] = (self.features,)
        self.dtype: np.dtype[Any] = self.values.dtype

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all values and classes, in the order of the rows: see `block_hashes`."""
        blocks = Span(0, self.rows).cut(block_hashes.BLOCK_ROWS)
        return block_hashes.fingerprint(
            self,
            (
                block_hashes.hash_block((one.x, one.t) for one in self.chunks(block, block_hashes.BLOCK_ROWS))
                for block in blocks
            ),
        )

    @property
    def model(self) -> SavedModel:
        """The stand-in for the first run's model."""
        return self.models[0]

    def choose_loss(self, loss: Loss | None, eps: float | None) -> Loss:
        """What a row costs. Raises UsageError where losses were saved and another one is asked for."""
        if self.value is None:
            return choose_loss(loss, eps)
        if loss is not None or eps is not None:
            raise UsageError(
                f"{self.name}: {self.value.detail} was saved, and cannot be turned into another loss. Leave "
                f"{'eps' if loss is None else 'loss'} out, or name logits= (--logits) or probabilities= "
                "(--probabilities)."
            )
        return self.value

    def chunks(self, span: Span, chunk_rows: int) -> Iterator[Chunk]:
        """See `Source`."""
        if chunk_rows < 1 or not 0 <= span.start <= span.stop <= self.rows:
            raise UsageError(f"{self.name}: rows {span.start}:{span.stop}, expected within 0:{self.rows}.")
        for part in span.cut(chunk_rows):
            rows = range(part.start, part.stop)
            yield self._chunk(rows, np.arange(part.start, part.stop), self.target[part.start : part.stop])

    def take(self, rows: NDArray[np.int64]) -> Chunk:
        """See `Source`."""
        wanted = row_numbers(self.name, rows, self.rows)
        return self._chunk(wanted, wanted, self.target[wanted])

    def _chunk(
        self, rows: range | NDArray[np.int64], numbers: NDArray[np.int64], target: NDArray[np.int64]
    ) -> Chunk:
        return Chunk(rows, self.values.reshape(-1), numbers * self.features, self.features, target)

    def check_unchanged(self) -> None:
        """Nothing to do: what is used was read when the file was opened, and the file did not change meanwhile."""

    def stamps(self) -> list[list[Any]]:
        """Nothing: the fingerprint is that of what was read when the file was opened."""
        return []

    def check_content(self) -> int:
        """Nothing is recorded."""
        return 0

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """Nothing is recorded."""
        return iter(())

    def costs(self) -> tuple[int, int]:
        """See `Source`."""
        return 0, 2 * 8 * (self.features + 1)

    def save_memory(self) -> None:
        """Nothing to do: everything is mapped."""

    def close(self) -> None:
        """Nothing to do: the files go with the arrays."""

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        what = "logits or probabilities" if self.value is None else self.value.detail
        return f"<{self.name}: saved outputs of {self.rows} rows, {what}>"
