"""`streameval minibatch`: losses of random rows, as the article takes them, with intervals."""

from __future__ import annotations

import click

from streameval.cli import options

METHODS = ("normal", "skew", "bernstein", "serfling", "betting", "predictable", "asymptotic")


@click.command()
@options.model_argument
@options.data_argument
@options.option("--size", type=int, default=100, show_default=True, help="Rows of a batch.")
@options.option("--batches", type=int, default=1, show_default=True, help="How many batches.")
@options.seed
@options.option(
    "--without-replacement", is_flag=True, help="Let the rows of a batch differ. Default: they may repeat."
)
@options.level
@options.option(
    "--method", type=click.Choice(METHODS), default="skew", show_default=True, help="Of the interval."
)
@options.eps
@options.threads
@options.scale
@options.activation
@options.io
@options.as_json
def command(
    model: str,
    data: str,
    size: int,
    batches: int,
    seed: int,
    without_replacement: bool,
    level: float,
    method: str,
    eps: float,
    threads: int | None,
    scale: float | None,
    activation: str | None,
    io: str,
    as_json: bool,
) -> None:
    """Draw random rows of DATA and print their mean loss, with an interval for the loss of all rows."""
    from streameval.cli import inputs, output
    from streameval.reports import text
    from streameval.studies import minibatch

    result = minibatch.minibatch(
        inputs.load_model(model, activation),
        inputs.open_data(data, io=io, scale=scale),
        size=size,
        batches=batches,
        seed=seed,
        replace=not without_replacement,
        level=level,
        method=method,
        eps=eps,
        threads=threads,
    )
    output.show(result, as_json, text.minibatches)
