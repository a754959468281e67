"""`streameval fetch`: a data set from the network, or from a folder, verified."""

from __future__ import annotations

import click

from streameval.cli import options

NAMES = ("mnist",)


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.argument("folder", metavar="DIR")
@options.option(
    "--from", "source", metavar="DIR_OR_URL", help="Take the files from here instead of the mirrors."
)
@options.as_json
def command(name: str, folder: str, source: str | None, as_json: bool) -> None:
    """Take a data set, verify its content, and write DIR/train.arrow and DIR/test.arrow.

    What is there already and verified is not taken again.
    """
    from streameval.cli import output, written
    from streameval.datasets import mnist
    from streameval.reports.progress import progress

    with progress("fetching", size="bytes") as told:
        paths = mnist.fetch(folder, source=source, progress=told)
    output.show(written.describe(*paths), as_json, written.text)
