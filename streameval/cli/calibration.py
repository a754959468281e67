"""`streameval calibration`: whether probabilities mean what they say."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, probability_input_options
from streameval.defaults import BINS


@click.command()
@options.model_argument
@options.data_argument
@options.option("--bins", type=int, default=BINS, show_default=True, help="Of the calibration error.")
@options.group
@options.level
@probability_input_options
@figure_options
@options.as_json
def command(
    model: str,
    data: str,
    bins: int,
    group: str | None,
    level: float,
    inputs: InputOptions,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Print Brier score, calibration error and accuracy by confidence and class of MODEL on DATA, with intervals."""
    from streameval.cli import kernels, output
    from streameval.reports import text_calibration
    from streameval.studies import calibration

    figures.check({"MODEL": model, "DATA": data})
    network, source = inputs.model(model), inputs.data(data)
    kernels.ready(source, network)
    result = calibration.calibration(
        network, source, bins=bins, groups=group, level=level, threads=inputs.threads
    )
    figures.write("calibration", result)
    output.show(result, as_json, text_calibration.calibration)
