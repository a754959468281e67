"""`streameval digits`: drawn digits, any number of rows."""

from __future__ import annotations

import click

from streameval.cli import options


@click.command()
@click.argument("dest")
@options.option("--rows", type=int, required=True, help="Number of rows. Ten million take 7.9 GB of disk.")
@options.seed
@options.output_format
@options.as_json
def command(dest: str, rows: int, seed: int, format: str | None, as_json: bool) -> None:
    """Write drawn, handwritten-like digits to DEST, streaming.

    The same seed gives the same bytes on any machine; a longer file starts with the rows of a shorter one.
    """
    from streameval.cli import output, written
    from streameval.datasets import digits
    from streameval.reports.progress import progress

    with progress("drawing") as on_progress:
        path = digits.digits(dest, rows=rows, seed=seed, format=format, progress=on_progress)
    output.show(written.describe(path), as_json, written.text)
