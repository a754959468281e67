"""What is the same for a data set whatever is done to its rows on their way: whose rows they are, and its files.

Knows only `Source`. Does not know what is done to the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from streameval.storage.source import Hashes, Source, Span, with_any_targets

# What is said once of a data set; looked up for every chunk, so they are the wrapper's own.
SAME = (
    "name",
    "path",
    "rows",
    "shape",
    "features",
    "dtype",
    "classes",
    "scale",
    "soft",
    "io",
    "files",
    "sources",
)


class WrappedSource:
    """Another source, of which a subclass reads rows in its own way: `chunks`, `take` and `costs` are left to it.

    All else is the other source's, members that only some sources have too, unless the subclass says otherwise.
    """

    name: str
    path: str | None
    rows: int
    shape: tuple[int, ...]
    features: int
    dtype: np.dtype[Any]
    classes: int | None
    scale: float
    soft: bool
    io: str
    files: tuple[str, ...]
    sources: Mapping[str, str]

    def __init__(self, source: Source) -> None:
        self._source = source
        for name in SAME:
            setattr(self, name, getattr(source, name))

    def __getattr__(self, name: str) -> Any:
        # A copy that is being made has no source yet, and is asked for such.
        if name.startswith("__") or name == "_source":
            raise AttributeError(name)
        return getattr(self._source, name)

    def with_any_targets(self) -> Self:
        """The same rows, with what is known of them so far: see `StoredSource`."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._source = with_any_targets(self._source)
        return other

    @property
    def fingerprint(self) -> str:
        """See `Source`."""
        return self._source.fingerprint

    def check_unchanged(self) -> None:
        """See `Source`."""
        self._source.check_unchanged()

    def stamps(self) -> list[list[Any]]:
        """See `Source`."""
        return self._source.stamps()

    def check_content(self) -> int:
        """See `Source`: of what is stored."""
        return self._source.check_content()

    def recorded(self) -> Iterator[tuple[Span, Hashes]]:
        """See `Source`."""
        return self._source.recorded()

    def save_memory(self) -> None:
        """See `Source`."""
        self._source.save_memory()

    def close(self) -> None:
        """See `Source`."""
        self._source.close()

    def __len__(self) -> int:
        return self.rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
