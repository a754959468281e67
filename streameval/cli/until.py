"""`streameval until`: read random rows until the loss is known well enough."""

from __future__ import annotations

import click

from streameval.cli import options, pictures

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
@options.eps
@options.threads
@options.scale
@options.activation
@options.io
@pictures.html
@pictures.png
@options.as_json
def command(
    model: str,
    data: str,
    half_width: float,
    level: float,
    seed: int,
    method: str,
    eps: float,
    threads: int | None,
    scale: float | None,
    activation: str | None,
    io: str,
    html: str | None,
    png: str | None,
    as_json: bool,
) -> None:
    """Read random rows of DATA until the loss of all of them is known to ± HALF_WIDTH.

    The interval may be looked at at any time: at the level given, every one shown on the way holds the full loss.
    """
    from streameval.cli import inputs, kernels, output
    from streameval.reports import live, pages, text_until
    from streameval.studies import until

    pictures.check(png)
    network, source = inputs.load_model(model, activation), inputs.open_data(data, io=io, scale=scale)
    kernels.ready(network, source)
    with live.live("loss") as told:
        result = until.evaluate_until(
            network,
            source,
            half_width=half_width,
            level=level,
            seed=seed,
            method=method,
            eps=eps,
            threads=threads,
            on_step=told,
        )
    pictures.write(pages.until, result, html, png)
    output.show(result, as_json, text_until.until)
