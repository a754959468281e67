"""`streameval merge`: the shards of an evaluation put together."""

from __future__ import annotations

import click

from streameval.cli import options


@click.command()
@click.argument("states", metavar="STATE...", nargs=-1, required=True)
@options.key
@options.as_json
def command(states: tuple[str, ...], key: str | None, as_json: bool) -> None:
    """Print the loss over all rows from the files that `evaluate --shard I/N --state OUT` wrote.

    The result is that of one evaluation of all rows, to the bit. Gaps, overlaps, and files of another model, data
    set or eps are refused.
    """
    from streameval.cli import output
    from streameval.evaluation.sealed import read_key
    from streameval.evaluation.shards import merge
    from streameval.reports import text

    secret = None if key is None else read_key(key)
    output.show(merge(states, key=secret), as_json, text.report, secret)
