"""Spans computed one after another in this process: what every engine does, without other machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streameval.errors import StreamevalError, UsageError
from streameval.evaluation.passes import Failure, Part, PassSpec
from streameval.evaluation.selection import Task
from streameval.evaluation.tally import BLOCK_ROWS
from streameval.frozen import frozen
from streameval.storage.source import Span


@frozen
class Local:
    """An engine in this process: a span that cannot be computed does not keep the others from it.

    span_rows  rows of a span
    """

    span_rows: int = 16 * BLOCK_ROWS

    @classmethod
    def at(cls, address: str | None) -> Local:
        """The engine for the command line. Raises UsageError for an address."""
        if address is not None:
            raise UsageError(f"address {address!r}: the local engine has none. For a cluster: --engine dask.")
        return cls()

    def cut(self, gap: Span) -> Iterator[Span]:
        """See `Engine`."""
        from streameval.engines.worker import cut_evenly

        yield from cut_evenly(gap, self.span_rows)

    def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
        """See `Engine`."""
        from streameval.engines.worker import compute_task

        for task in tasks:
            try:
                yield compute_task(spec, task)
            except StreamevalError as error:
                yield Failure.of(task.span, error)
