"""`streameval convert`: IDX files to a data set that can be mapped."""

from __future__ import annotations

import click

from streameval.cli import options


@click.command()
@click.argument("images")
@click.argument("labels")
@click.argument("dest")
@options.output_format
@options.option(
    "--classes", type=int, help="Number of classes: labels are checked against it, and it is recorded."
)
@options.option(
    "--first-label", type=int, default=0, show_default=True, help="The number that labels count from."
)
@options.as_json
def command(
    images: str,
    labels: str,
    dest: str,
    format: str | None,
    classes: int | None,
    first_label: int,
    as_json: bool,
) -> None:
    """Convert IDX IMAGES and LABELS, raw or .gz, to DEST.

    DEST ending with .arrow becomes one Arrow file, anything else a folder of images.npy, labels.npy and
    manifest.json. It appears whole or not at all.
    """
    from streameval.cli import output, written
    from streameval.reports.progress import progress
    from streameval.storage import converting

    with progress("converting") as on_progress:
        path = converting.convert(
            images,
            labels,
            dest,
            format=format,
            classes=classes,
            first_label=first_label,
            progress=on_progress,
        )
    output.show(written.describe(path), as_json, written.text)
