"""`streameval compare`: mini-batches of several sizes against the full loss."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, input_options
from streameval.cli.saved_options import SavedOptions, saved_options
from streameval.defaults import SIZES, TRIALS
from streameval.errors import UsageError


@click.command()
@options.model_argument
@options.optional_data_argument
@options.option(
    "--sizes",
    default=",".join(map(str, SIZES)),
    show_default=True,
    help="Rows of a batch, with commas between.",
)
@options.option("--trials", type=int, default=TRIALS, show_default=True, help="Batches of each size.")
@options.seed
@options.without_replacement
@options.level
@options.max_memory
@options.of
@options.group
@input_options
@saved_options
@options.allow_nonfinite
@figure_options
@options.as_json
def command(
    model: str,
    data: str | None,
    sizes: str,
    trials: int,
    seed: int,
    without_replacement: bool,
    level: float,
    max_memory: str | None,
    of: str,
    group: str | None,
    inputs: InputOptions,
    saved: SavedOptions,
    allow_nonfinite: bool,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Evaluate all of DATA, then draw many mini-batches of each size: how close would they have come?

    Prints their spread, how often each interval held the full loss, the rows that a wanted precision takes,
    whether the order of the rows looks random, and where an error of the full loss could come from.
    """
    from streameval.cli import kernels, output
    from streameval.reports import progress, text_compare
    from streameval.studies import comparison

    figures.check({"MODEL": model, "DATA": data})
    subject = saved.subject(model, data, inputs, group=group, allow_nonfinite=allow_nonfinite)
    numbers = parse_sizes(sizes)
    kernels.ready(subject.data, subject.model, loss=subject.loss)
    with progress.progress("evaluating") as on_progress:
        result = comparison.compare(
            subject.model,
            subject.data,
            sizes=numbers,
            trials=trials,
            seed=seed,
            replace=not without_replacement,
            level=level,
            loss=subject.loss,
            groups=subject.groups,
            of=of,
            threads=inputs.threads,
            max_memory=max_memory,
            progress=on_progress,
        )
    figures.write("comparison", result)
    output.show(result, as_json, text_compare.comparison)


def parse_sizes(text: str) -> list[int]:
    """Return the numbers that `--sizes` lists. Raises UsageError naming what is none."""
    numbers = []
    for part in text.split(","):
        if not part.strip().isdecimal() or len(part) > options.MOST_DIGITS:
            raise UsageError(
                f"--sizes: {options.shown(part.strip())} is no number of rows. Expected such as 10,100,1000."
            )
        numbers.append(int(part))
    return numbers
