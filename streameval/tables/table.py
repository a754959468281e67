"""What every reader of a table gives: columns by name, some thousand rows at a time.

Knows names and kinds of columns. Does not know any format, nor which column means what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from streameval.errors import DataError
from streameval.frozen import frozen

# Rows that a reader hands on at once.
BATCH_ROWS: Final = 4_096
# Names that a message lists.
SHOWN: Final = 12

What = Literal["number", "list", "image", "text", "other"]


@frozen
class Kind:
    """What a column holds: one number a row, a list (of lists) of them, an encoded image, text, or something else.

    type     as messages call it
    classes  names of the classes whose numbers it holds, where the file says them
    """

    what: What
    type: str
    classes: tuple[str, ...] | None = None


@frozen(eq=False)
class Part:
    """Some consecutive rows of a table.

    file     what messages call the file that they are of
    first    number of the first row, in that file
    columns  name -> values as the reader has them: a pyarrow array, a NumPy array, a list; `values` makes numbers of
             them
    """

    file: str
    first: int
    columns: Mapping[str, Any]

    def slice(self, start: int, rows: int) -> Part:
        """At most `rows` of its rows from `start` on."""
        cut = {
            name: one.slice(start, rows) if hasattr(one, "slice") else one[start : start + rows]
            for name, one in self.columns.items()
        }
        return Part(self.file, self.first + start, cut)


@frozen(eq=False)
class Table:
    """Rows of named columns.

    name     what messages call it · path: where it lies, None in memory
    format   how a message calls its form: "a CSV file"
    columns  name -> kind, in the order of the file
    read     the wanted columns -> parts, in the order of the file; a table that is a stream can be read once
    files    that are read, to notice when they change
    rows     that there are, None where reading alone tells
    once     whether it can be read a single time
    notes    what the reader has to say of the rows
    """

    name: str
    path: str | None
    format: str
    columns: Mapping[str, Kind]
    read: Callable[[Sequence[str]], Iterator[Part]]
    files: tuple[str, ...] = ()
    rows: int | None = None
    once: bool = False
    notes: tuple[str, ...] = ()


def listed(columns: Mapping[str, Kind]) -> str:
    """Names and types for a message, the first of them where they are many."""
    shown = ", ".join(f"{name[:60]} ({kind.type[:60]})" for name, kind in list(columns.items())[:SHOWN])
    more = len(columns) - SHOWN
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}"


def check_distinct(name: str, columns: Sequence[str], wanted: Iterable[str]) -> None:
    """Raise DataError for a wanted name that two of the columns have: nothing tells which is meant."""
    sought, places = frozenset(wanted), dict[str, int]()
    for k, one in enumerate(columns):
        if one in sought and places.setdefault(one, k) != k:
            raise DataError(
                f"{name}: column {one[:60]!r} is there twice (as number {places[one] + 1} and {k + 1}), expected names "
                "that differ. Rename one."
            )
