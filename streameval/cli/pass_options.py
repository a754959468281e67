"""Options of `evaluate` for passes that take more than one machine, one sitting or one number.

Knows which of them go together. Does not know what they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streameval.cli import options
from streameval.errors import UsageError
from streameval.files import Output
from streameval.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from streameval.evaluation import evaluate
    from streameval.evaluation.events import Advanced, Started
    from streameval.evaluation.report import Report

# Options of `evaluate` that are about the report of one plain mean, and the pass that makes it: what prints something
# else goes without.
OF_A_REPORT: Final = (
    "group",
    "anatomy",
    "by",
    "images",
    "losses",
    "checkpoint",
    "shard",
    "state",
    "engine",
    "address",
    "events",
    "key",
    "max_memory",
    "html",
    "png",
)


@frozen
class PassOptions:
    """What was given of the options below."""

    losses: str | None
    checkpoint: str | None
    shard: str | None
    state: str | None
    engine: str | None
    address: str | None
    events: str | None
    key: str | None

    def signing(self) -> bytes | None:
        """The key in the file, or from the pipe, that was named. Raises StorageError, UsageError."""
        from streameval.evaluation.sealed import read_key

        return None if self.key is None else read_key(self.key)

    def outputs(self) -> tuple[Output, ...]:
        """What the command writes, pictures apart."""
        from streameval.evaluation.loss_file import spool_of

        spool = None if self.losses is None or self.checkpoint is None else spool_of(self.checkpoint)
        return (
            Output("the losses kept beside --checkpoint", spool),
            Output("--losses", self.losses),
            Output("--checkpoint", self.checkpoint),
            Output("--state", self.state),
            Output("--events", self.events, added=True),
        )

    def check_losses(self) -> None:
        """Raise UsageError for losses of another format than Arrow."""
        from streameval.evaluation.loss_file import check_ending

        if self.losses is not None:
            check_ending(self.losses)

    def settings(self, key: bytes | None, put_away: Callable[[Report], None]) -> evaluate.PassOptions:
        """What they mean to `evaluate`, with the key of `signing`, which a pipe gives only once.

        put_away  called with the report when all else is written, and before the checkpoint is removed

        Raises UsageError for options that do not go together.
        """
        from streameval.engines import engine
        from streameval.evaluation import evaluate
        from streameval.evaluation.checkpoint import Checkpoint
        from streameval.evaluation.events import Callback, EventFile
        from streameval.evaluation.shards import StateFile, parse_shard

        if self.shard is not None and self.state is None:
            raise UsageError(
                f"--shard {self.shard}: what comes of a shard needs a place. Add --state OUT.json"
            )
        if self.address is not None and self.engine is None:
            raise UsageError(f"--address {self.address}: of which engine? Add --engine dask")
        callbacks: list[Callback] = []
        shard = None
        if self.state is not None:
            shard = (0, 1) if self.shard is None else parse_shard(self.shard)
            callbacks.append(StateFile(self.state, key))
        if self.events is not None:
            callbacks.append(EventFile(self.events))
        callbacks.append(_PutAway(put_away))
        computing = None if self.engine is None else engine(self.engine, address=self.address)
        kept = None if self.checkpoint is None else Checkpoint(self.checkpoint, key=key)
        return evaluate.PassOptions(kept, shard, computing, self.losses, callbacks)


class _PutAway:
    """A callback that is told of the report alone."""

    def __init__(self, finished: Callable[[Report], None]) -> None:
        self.finished = finished

    def started(self, event: Started) -> None: ...

    def advanced(self, event: Advanced) -> None: ...

    def stopped(self, error: BaseException) -> None: ...


pass_options = options.gathered(
    "run",
    PassOptions,
    options.option("--losses", metavar="OUT.arrow", help="Write the loss of every row to this file."),
    options.max_memory,
    options.option(
        "--checkpoint", metavar="FILE", help="Write what is done to FILE; the same command goes on from it."
    ),
    options.option(
        "--shard", metavar="I/N", help="Only part I of N of the rows, counted from 0; with --state."
    ),
    options.option("--state", metavar="OUT", help="Write what came of the shard, for `streameval merge`."),
    options.option("--engine", metavar="NAME", help="dask: let Dask workers compute. Default: this process."),
    options.option(
        "--address", metavar="A", help="Of the engine's scheduler. Default: workers on this machine."
    ),
    options.option("--events", metavar="FILE", help="Add one JSON record for each chunk to FILE."),
    options.key,
)
