"""`streameval perplexity`: saved losses by token or byte, with an error that knows documents."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.defaults import PER


@click.command()
@click.argument("outputs")
@options.option("--loss-column", metavar="C", required=True, help="Summed losses of each row, in nats.")
@options.option("--weight-column", metavar="C", required=True, help="Tokens, or bytes, of each row.")
@options.option(
    "--per", type=click.Choice(PER), default=PER[0], show_default=True, help="What the weights count."
)
@options.option(
    "--group",
    metavar="C",
    help="Document of each row. Default: every row is one; of a log with epochs, every sample.",
)
@options.level
@options.as_json
def command(
    outputs: str,
    loss_column: str,
    weight_column: str,
    per: str,
    group: str | None,
    level: float,
    as_json: bool,
) -> None:
    """Print perplexity (or bits per byte) of the saved losses in OUTPUTS: Arrow, Parquet, CSV, JSONL, npz, lm-eval.

    The losses of all rows over the tokens of all rows: of these rows exact, with an interval for further documents.
    """
    from streameval.cli import output
    from streameval.reports import text_ratio
    from streameval.studies import ratios

    result = ratios.ratio_of_file(outputs, loss_column, weight_column, per=per, group=group, level=level)
    output.show(result, as_json, text_ratio.ratio)
