"""`streameval minibatch`: losses of random rows, as the article takes them, with intervals."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, input_options
from streameval.cli.saved_options import SavedOptions, saved_options
from streameval.defaults import BATCH_SIZE, METHOD, METHODS


@click.command()
@options.model_argument
@options.optional_data_argument
@options.option("--size", type=int, default=BATCH_SIZE, show_default=True, help="Rows of a batch.")
@options.option("--batches", type=int, default=1, show_default=True, help="How many batches.")
@options.seed
@options.without_replacement
@options.level
@options.option(
    "--method", type=click.Choice(METHODS), default=METHOD, show_default=True, help="Of the interval."
)
@options.group
@input_options
@saved_options
@options.allow_nonfinite
@figure_options
@options.as_json
def command(
    model: str,
    data: str | None,
    size: int,
    batches: int,
    seed: int,
    without_replacement: bool,
    level: float,
    method: str,
    group: str | None,
    inputs: InputOptions,
    saved: SavedOptions,
    allow_nonfinite: bool,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Draw random rows of DATA and print their mean loss, with an interval for the loss of all rows."""
    from streameval.cli import output
    from streameval.reports import text
    from streameval.studies import minibatch

    figures.check({"MODEL": model, "DATA": data})
    subject = saved.subject(model, data, inputs, group=group, allow_nonfinite=allow_nonfinite)
    result = minibatch.minibatch(
        subject.model,
        subject.data,
        size=size,
        batches=batches,
        seed=seed,
        replace=not without_replacement,
        level=level,
        method=method,
        loss=subject.loss,
        groups=subject.groups,
        threads=inputs.threads,
    )
    figures.write("minibatches", result)
    output.show(result, as_json, text.minibatches)
