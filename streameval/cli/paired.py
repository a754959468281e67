"""`streameval paired`: two or more models on the same rows."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, input_options
from streameval.cli.saved_options import SavedOptions, Subject, saved_options
from streameval.defaults import DRAWS, LEAST_JOINED
from streameval.errors import UsageError


@click.command()
@click.argument("models", metavar="MODELS... DATA", nargs=-1, required=True)
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
@saved_options
@options.option(
    "--least-joined",
    type=float,
    default=LEAST_JOINED,
    show_default=True,
    help="Of saved outputs: the share of each run that the others must have.",
)
@options.allow_nonfinite
@figure_options
@options.as_json
def command(
    models: tuple[str, ...],
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
    saved: SavedOptions,
    least_joined: float,
    allow_nonfinite: bool,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Compare MODELS on the same rows of DATA, each against the first: streameval paired A.npz B.npz DATA.

    Or runs whose outputs were saved, joined on their row ids: streameval paired A.jsonl B.jsonl --metric acc.

    Each row is read once. All rows: their difference is exact, and the interval is about further data of the same
    kind. --half-width and --until decided read random rows, and are about the rows of DATA. With --losses, one model is
    enough: it is compared with the stored losses, and --half-width is that of its full loss.
    """
    from streameval.cli import kernels, output
    from streameval.outputs.joining import join_outputs
    from streameval.reports import live, progress, text_paired
    from streameval.studies import paired

    figures.check({"MODELS": models[:-1], "DATA": models[-1], "--losses": losses})
    if len(models) < 2:
        raise UsageError(
            f"{models[0]}: one path, expected models and their data (A.npz B.npz DATA), or several saved outputs "
            "(A.jsonl B.jsonl)."
        )
    if losses is None and saved.alone(models[0]):
        runs = [saved.open(path, inputs, group=group, allow_nonfinite=allow_nonfinite) for path in models]
        subject = Subject(join_outputs(runs, least_joined=least_joined), None, saved.loss(runs[0], inputs), 0)
        kernels.ready(None, runs[0], loss=subject.loss)
    else:
        saved.check_models(allow_nonfinite)
        loss = inputs.chosen_loss()
        networks, source = [inputs.model(path) for path in models[:-1]], inputs.data(models[-1])
        subject = Subject(networks, source, loss, source.rows, group)
        for network in networks:
            kernels.ready(source, network, loss=subject.loss)
    with progress.progress("evaluating") as on_progress, live.live("difference") as on_step:
        result = paired.paired(
            subject.model,
            subject.data,
            half_width=half_width,
            losses=losses,
            until=until,
            draw=draw,
            of=of,
            groups=subject.groups,
            level=level,
            seed=seed,
            loss=subject.loss,
            threads=inputs.threads,
            max_memory=max_memory,
            progress=on_progress,
            on_step=on_step,
        )
    figures.write("paired", result)
    output.show(result, as_json, text_paired.paired)
