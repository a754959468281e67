"""What every reader of saved outputs gives: columns by name, some thousand rows at a time.

Knows names and values. Does not know any format, nor what is made of a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from numpy.typing import NDArray

from streameval.frozen import frozen
from streameval.losses.loss import Bounds
from streameval.tables.table import check_distinct

# Rows that a reader hands on at once: 1,000 logits of each are 65 MB.
BATCH_ROWS = 8_192
# Names that a message lists.
SHOWN = 30

Values = NDArray[Any] | list[Any]
"""The values of one column for some rows: an array (n,) or (n, classes) where all are numbers, else a list; None is
missing."""


@frozen
class Metric:
    """One of the values that a tool writes for each sample.

    column  where the reader has it · score: whether more is better
    """

    column: str
    score: bool = True


@frozen(eq=False)
class Table:
    """A file of saved outputs.

    name, path  what messages call it; where it lies, None in memory
    format      a row of `formats.FORMATS`
    columns     that can be named; those inside others by "outer.inner"
    read        the wanted columns -> batches of rows, in the order of the file; `batches` asks for it
    metrics     of a tool's file: what it says of each sample, by name
    row_id      the column that tells samples apart, None where the file does not say
    repeats     whether rows with one id are repetitions of one sample, to be averaged first
    bounds      of its losses, where the file says them
    """

    name: str
    path: str | None
    format: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[Mapping[str, Values]]]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    row_id: str | None = None
    repeats: bool = False
    bounds: Bounds | None = None

    def batches(self, wanted: Sequence[str]) -> Iterator[Mapping[str, Values]]:
        """Rows of the wanted columns. Raises DataError for a name that two columns have."""
        check_distinct(self.name, self.columns, wanted)
        return self.read(wanted)


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first of them where they are many."""
    shown = ", ".join(str(name)[:80] for name in names[:SHOWN])
    more = len(names) - SHOWN
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}"
