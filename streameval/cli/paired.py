"""`streameval paired`: two or more models on the same rows."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, input_options
from streameval.defaults import DRAWS


@click.command()
@click.argument("models", nargs=-1, required=True)
@options.data_argument
@options.option(
    "--half-width", type=float, help="Read random rows until the difference is known to ± this, in nats."
)
@options.option(
    "--losses",
    metavar="OLD.arrow",
    help="Losses that `evaluate --losses` stored, in place of the first model.",
)
@options.option(
    "--until",
    type=click.Choice(["decided"]),
    help="Read random rows until it is known which model is better on all rows.",
)
@options.option(
    "--draw",
    type=click.Choice(DRAWS),
    default=DRAWS[0],
    show_default=True,
    help="With --losses and a way to stop: weighted draws rows more often where the stored losses are high.",
)
@options.of
@options.group
@options.level
@options.seed
@options.max_memory
@input_options
@figure_options
@options.as_json
def command(
    models: tuple[str, ...],
    data: str,
    half_width: float | None,
    losses: str | None,
    until: str | None,
    draw: str,
    of: str,
    group: str | None,
    level: float,
    seed: int,
    max_memory: str | None,
    inputs: InputOptions,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Compare MODELS on the same rows of DATA, each against the first: streameval paired A.npz B.npz DATA.

    Each row is read once. All rows: their difference is exact, and the interval is about further data of the same
    kind. --half-width and --until decided read random rows, and are about the rows of DATA. With --losses, one model is
    enough: it is compared with the stored losses, and --half-width is that of its full loss.
    """
    from streameval.cli import kernels, output
    from streameval.reports import live, pages, progress, text_paired
    from streameval.studies import paired

    figures.check({"MODELS": models, "DATA": data, "--losses": losses})
    networks, source = [inputs.model(model) for model in models], inputs.data(data)
    for network in networks:
        kernels.ready(source, network)
    with progress.progress("evaluating") as on_progress, live.live("difference") as on_step:
        result = paired.paired(
            networks,
            source,
            half_width=half_width,
            losses=losses,
            until=until,
            draw=draw,
            of=of,
            groups=group,
            level=level,
            seed=seed,
            eps=inputs.eps,
            threads=inputs.threads,
            max_memory=max_memory,
            progress=on_progress,
            on_step=on_step,
        )
    figures.write(pages.paired, result)
    output.show(result, as_json, text_paired.paired)
