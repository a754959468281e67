"""`streameval info`: what a data set or a model is."""

from __future__ import annotations

from functools import partial

import click

from streameval.cli import options
from streameval.cli.column_options import ColumnOptions, column_options


@click.command()
@click.argument("path", metavar="DATA_OR_MODEL")
@options.option(
    "--check", is_flag=True, help="Read all of a data set, and compare it with its recorded hashes."
)
@column_options
@options.activation
@options.dropout
@options.allow_nonfinite
@options.io
@options.as_json
def command(
    path: str,
    check: bool,
    columns: ColumnOptions,
    activation: str | None,
    dropout: str | None,
    allow_nonfinite: bool,
    io: str,
    as_json: bool,
) -> None:
    """Say what DATA_OR_MODEL is: rows, shape and fingerprint, or layers, activations and parameters."""
    from streameval.cli import description, inputs, output
    from streameval.errors import DataError, ModelError, UsageError

    try:
        if description.is_data(path) or columns.of_data:
            source = inputs.open_data(path, io=io, **columns.opening())
            describe = partial(description.data_set, source, check=check)
        else:
            network = inputs.load_model(path, activation, dropout, allow_nonfinite=allow_nonfinite)
            describe = partial(description.model, network)
    except (DataError, ModelError, UsageError) as error:
        raise type(error)(f"{error}{description.maybe_outputs(path)}") from None
    output.show(describe(), as_json, description.text)
