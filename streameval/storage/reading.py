"""How files are read: mapped, past the page cache, or by position.

Knows files and memory. Does not know formats.
"""

from __future__ import annotations

import contextlib
from dataclasses import field

from streameval.defaults import IO
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.storage.access import Access, PlainRows, Reads, Views
from streameval.storage.memory_limit import cacheable
from streameval.tables.columns import Columns


@frozen
class ReadOptions:
    """What `open` was told, and found out.

    io     one of defaults.IO
    scale  factor from stored values to features, or None
    columns  of a table: which mean what
    hint   say how a copy of a table is avoided
    large  the files are small, each, but together too large to stay in the page cache
    """

    io: str = "auto"
    scale: float | None = None
    columns: Columns = field(default_factory=Columns)
    hint: bool = True
    large: bool = False

    def __post_init__(self) -> None:
        if self.io not in IO:
            raise UsageError(f"io is {self.io!r}, expected one of {', '.join(IO)}.")


def access_to(rows: PlainRows, options: ReadOptions) -> Access:
    """Return the way to get at rows that lie in files as spans of bytes."""
    layout, values, labels = rows.layout, rows.values, rows.labels
    if options.io == "pread":
        return Reads(layout, values, labels)
    mapped = values.map()
    mapped_labels = mapped if labels is values else labels.map()
    views = Views(layout, mapped, mapped_labels)
    too_large = options.io == "auto" and (options.large or not cacheable(values.size))
    if options.io == "direct" or too_large:
        # Where that cannot be done, reading through the page cache is the next best.
        with contextlib.suppress(OSError):
            from streameval.storage.direct import Direct

            return Direct(layout, views, mapped, mapped_labels, always=options.io == "direct")
    return views
