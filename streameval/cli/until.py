"""`streameval until`: read random rows until the loss is known well enough."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.pictures import Drawing, drawing
from streameval.cli.reading import Reading, reading

METHODS = ("betting", "predictable", "asymptotic")


@click.command()
@options.model_argument
@options.data_argument
@options.option("--half-width", type=float, default=0.01, show_default=True, help="Stop at ± this, in nats.")
@options.level
@options.seed
@options.option(
    "--method", type=click.Choice(METHODS), default="betting", show_default=True, help="Of the interval."
)
@reading
@drawing
@options.as_json
def command(
    model: str,
    data: str,
    half_width: float,
    level: float,
    seed: int,
    method: str,
    reading: Reading,
    drawing: Drawing,
    as_json: bool,
) -> None:
    """Read random rows of DATA until the loss of all of them is known to ± HALF_WIDTH.

    The interval may be looked at at any time: at the level given, every one shown on the way holds the full loss.
    """
    from streameval.cli import kernels, output
    from streameval.reports import live, pages, text_until
    from streameval.studies import until

    drawing.check({"MODEL": model, "DATA": data})
    network, source = reading.model(model), reading.data(data)
    kernels.ready(network, source)
    with live.live("loss") as told:
        result = until.evaluate_until(
            network,
            source,
            half_width=half_width,
            level=level,
            seed=seed,
            method=method,
            eps=reading.eps,
            threads=reading.threads,
            on_step=told,
        )
    drawing.write(pages.until, result)
    output.show(result, as_json, text_until.until)
