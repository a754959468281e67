"""`streameval fetch`: a data set from the network, or from a folder, verified."""

from __future__ import annotations

from pathlib import Path

import click

from streameval.cli import options
from streameval.files import Output, check_outputs

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

    if source is not None and Path(folder).is_dir():
        # What is taken there is removed when the data set is whole.
        check_outputs([Output("DIR", Path(folder, ".mnist"), inside="*")], {"--from": [source]})
    with progress("fetching", size="bytes") as on_progress:
        paths = mnist.fetch(folder, source=source, progress=on_progress)
    output.show(written.describe(*paths), as_json, written.text)
