"""Options of `evaluate` for passes over more than one machine, one memory or one sitting.

Knows which of them go together. Does not know what they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streameval.cli import options
from streameval.errors import UsageError
from streameval.files import Output


@dataclass(frozen=True, slots=True)
class LongRun:
    """What was given of the options below."""

    max_memory: str | None
    checkpoint: str | None
    shard: str | None
    state: str | None
    engine: str | None
    address: str | None
    events: str | None

    def outputs(self, losses: str | None) -> tuple[Output, ...]:
        """What the command writes, pictures apart. Raises UsageError for losses of another format than Arrow."""
        from streameval.evaluation.losses import check_ending

        if losses is not None:
            check_ending(losses)
        return (
            Output("--losses", losses),
            Output("--checkpoint", self.checkpoint),
            Output("--state", self.state),
            Output("--events", self.events, added=True),
        )

    def settings(self, losses: str | None) -> dict[str, Any]:
        """The arguments of `evaluate` that they mean. Raises UsageError for options that do not go together."""
        from streameval.evaluation.shards import StateFile, parse_shard

        if losses is not None:
            given = [
                name
                for name in ("max_memory", "checkpoint", "state", "engine", "events")
                if getattr(self, name)
            ]
            if given:
                raise UsageError(
                    f"--losses and --{given[0].replace('_', '-')}: a file of losses is written by one pass in one go. "
                    "Leave one of the two out."
                )
        if self.shard is not None and self.state is None:
            raise UsageError(
                f"--shard {self.shard}: what comes of a shard needs a place. Add --state OUT.json"
            )
        if self.address is not None and self.engine is None:
            raise UsageError(f"--address {self.address}: of which engine? Add --engine dask")
        found: dict[str, Any] = {"callbacks": []}
        if self.max_memory is not None:
            found["max_memory"] = self.max_memory
        if self.checkpoint is not None:
            found["checkpoint"] = self.checkpoint
        if self.state is not None:
            found["shard"] = parse_shard(self.shard) if self.shard is not None else (0, 1)
            found["callbacks"].append(StateFile(self.state))
        if self.engine is not None:
            from streameval.engines import engine

            found["engine"] = engine(self.engine, address=self.address)
        if self.events is not None:
            from streameval.evaluation.events import EventFile

            found["callbacks"].append(EventFile(self.events))
        return found


long_run = options.gathered(
    "long",
    LongRun,
    options.option(
        "--max-memory", metavar="SIZE", help="Hold no more than this, such as 256M, beyond imports."
    ),
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
)
