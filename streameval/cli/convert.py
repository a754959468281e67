"""`streameval convert`: any data set to one that can be mapped."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.column_options import ColumnOptions, column_options
from streameval.errors import UsageError


@click.command()
@click.argument("paths", metavar="DATA DEST", nargs=-1, required=True)
@options.output_format
@options.option(
    "--classes", type=int, help="Number of classes: labels are checked against it, and it is recorded."
)
@options.option(
    "--first-label", type=int, default=0, show_default=True, help="The number that labels count from."
)
@column_options
@options.as_json
def command(
    paths: tuple[str, ...],
    format: str | None,
    classes: int | None,
    first_label: int,
    columns: ColumnOptions,
    as_json: bool,
) -> None:
    """Convert DATA to DEST: streameval convert train.parquet train.arrow, or convert IMAGES LABELS DEST.

    DATA is whatever `evaluate` reads. A table: .parquet; .csv or .tsv, also .gz, .bz2 or .zst; .jsonl or .ndjson; .npz;
    Feather; an Arrow stream. An .arrow file. Several of a kind: their paths, a folder, a quoted glob. A folder of
    images.npy and labels.npy, of a folder of images for each class, or that Hugging Face's save_to_disk wrote. A pair
    of IDX files, raw or .gz, or of .npy files.

    DEST ending with .arrow becomes one Arrow file, anything else a folder of images.npy, labels.npy and manifest.json.
    It appears whole or not at all.
    """
    from streameval.cli import output, written
    from streameval.reports.progress import progress
    from streameval.storage import converting

    if len(paths) < 2:
        raise UsageError(f"{paths[0]}: one path, expected two: streameval convert DATA DEST.")
    given = columns.opening()
    with progress("converting") as on_progress:
        path = converting.convert(
            converting.given_paths(paths[:-1]),
            paths[-1],
            format=format,
            classes=classes,
            first_label=first_label,
            progress=on_progress,
            **given,
        )
    output.show(written.describe(path), as_json, written.text)
