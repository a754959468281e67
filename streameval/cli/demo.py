"""`streameval demo`: the whole idea in one command, offline."""

from __future__ import annotations

import click

from streameval.cli import options


@click.command()
@options.option("--rows", type=int, default=60_000, show_default=True, help="Digits to draw.")
@options.option("--size", type=int, default=100, show_default=True, help="Rows of a mini-batch.")
@options.option("--batches", type=int, default=10, show_default=True, help="Mini-batches to take.")
@options.seed
@options.option("--keep", metavar="DIR", help="Keep the digits and the network in this folder.")
@options.threads
@options.as_json
def command(
    rows: int, size: int, batches: int, seed: int, keep: str | None, threads: int | None, as_json: bool
) -> None:
    """Draw digits, evaluate the network that ships with the package on all of them, and compare with mini-batches.

    Needs no network and no file. Without --keep, what is written is removed at the end.
    """
    from streameval.cli import demonstration, output
    from streameval.reports.progress import progress

    with progress("drawing") as on_progress:
        result = demonstration.run(
            rows=rows, size=size, batches=batches, seed=seed, threads=threads, keep=keep, progress=on_progress
        )
    output.show(result, as_json, demonstration.text)
