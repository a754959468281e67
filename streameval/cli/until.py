"""`streameval until`: read random rows until the loss is known well enough."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, input_options
from streameval.cli.saved_options import SavedOptions, saved_options
from streameval.defaults import HALF_WIDTH, SEQUENTIAL_METHOD, SEQUENTIAL_METHODS


@click.command()
@options.model_argument
@options.optional_data_argument
@options.option(
    "--half-width",
    type=float,
    default=HALF_WIDTH,
    show_default=True,
    help="Stop at ± this, in nats (of accuracy: a share).",
)
@options.of
@options.level
@options.seed
@options.option(
    "--method",
    type=click.Choice(SEQUENTIAL_METHODS),
    default=SEQUENTIAL_METHOD,
    show_default=True,
    help="Of the interval.",
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
    half_width: float,
    of: str,
    level: float,
    seed: int,
    method: str,
    group: str | None,
    inputs: InputOptions,
    saved: SavedOptions,
    allow_nonfinite: bool,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Read random rows of DATA until the loss of all of them is known to ± HALF_WIDTH.

    The interval may be looked at at any time: at the level given, every one shown on the way holds the full loss.
    With --group whole groups are drawn and read instead of rows.
    """
    from streameval.cli import kernels, output
    from streameval.reports import live, text_until
    from streameval.studies import until

    figures.check({"MODEL": model, "DATA": data})
    subject = saved.subject(model, data, inputs, group=group, allow_nonfinite=allow_nonfinite)
    kernels.ready(subject.data, subject.model, loss=subject.loss)
    with live.live("loss") as on_step:
        result = until.evaluate_until(
            subject.model,
            subject.data,
            half_width=half_width,
            level=level,
            seed=seed,
            method=method,
            of=of,
            loss=subject.loss,
            groups=subject.groups,
            threads=inputs.threads,
            on_step=on_step,
        )
    figures.write("until", result)
    output.show(result, as_json, text_until.until)
