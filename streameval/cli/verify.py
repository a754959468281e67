"""`streameval verify`: a report compared with the model and the data that it is about."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.input_options import InputOptions, verify_input_options


@click.command()
@click.argument("report", metavar="REPORT.json")
@options.model_argument
@options.data_argument
@options.option("--blocks", metavar="K", type=int, help="Compute K random blocks again. Default: all.")
@options.option(
    "--seed", type=int, help="Chooses the blocks. Default: drawn anew, so that no one could know which."
)
@options.key
@verify_input_options
@options.as_json
def command(
    report: str,
    model: str,
    data: str,
    blocks: int | None,
    seed: int | None,
    key: str | None,
    inputs: InputOptions,
    allow_nonfinite: bool,
    as_json: bool,
) -> None:
    """Compare REPORT.json, from `evaluate --json`, with MODEL and DATA: hashes, numbers, and blocks of rows again.

    Ends with 6 if one bit differs. Of a report of `evaluate --with`, the same --with is needed, and equal bits are
    promised only in the same version of that library on the same machine.
    """
    from streameval.cli import output
    from streameval.evaluation import verify
    from streameval.evaluation.sealed import read_key
    from streameval.reports import progress, text_verify

    with verify.loading_model():
        network = inputs.model(model, allow_nonfinite=allow_nonfinite)
    source = inputs.data(data)
    with progress.progress("verifying") as on_progress:
        verified = verify.verify(
            report,
            network,
            source,
            blocks=blocks,
            seed=seed,
            threads=inputs.threads,
            progress=on_progress,
            key=None if key is None else read_key(key),
        )
    output.show(verified, as_json, text_verify.verified)
