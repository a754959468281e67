"""`streameval verify`: a report compared with the model and the data that it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streameval.cli import options
from streameval.cli.input_options import InputOptions, verify_input_options
from streameval.defaults import NATIVE

if TYPE_CHECKING:
    from streameval.evaluation.verify import Verified
    from streameval.reports.terminal import TextStyle


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
    from streameval.reports import progress

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
    output.show(verified, as_json, text)


def text(verified: Verified, style: TextStyle) -> str:
    """What was compared."""
    from streameval.reports.numbers import count
    from streameval.reports.terminal import paragraph

    how = "all blocks" if verified.whole else f"{count(len(verified.blocks))} of {count(verified.of)} blocks"
    recorded = (
        f"{count(verified.hashes)} recorded hashes of their rows" if verified.hashes else "its fingerprint"
    )
    lines = [style.bold("The report is true of this model and these data, as far as was compared."), ""]
    lines += paragraph(
        f"Computed again: {how}, {count(verified.rows)} rows, equal to the bit. Compared as well: every number with "
        "the exact state and that with the sum of all blocks; what is said of model, data and scorer; of the data "
        f"{recorded}.",
        style,
    )
    if verified.scorer != NATIVE:
        lines += ["", *paragraph(_others_bits(verified.scorer), style)]
    if not verified.whole:
        lines += ["", *paragraph(_unseen(verified), style)]
    lines += ["", *paragraph(_unknown(verified), style)]
    return style.finish([*lines, "", f"digest  {verified.digest}"])


def _others_bits(scorer: str) -> str:
    """What equality is worth where another library computed."""
    return (
        f"The losses were computed by {scorer}, which promises equal bits only in the same version on the same "
        "machine: elsewhere a true report may end with 6."
    )


def _unknown(verified: Verified) -> str:
    """What no comparison can tell."""
    said = [
        f"{name} ({value})" if name.endswith(".path") else name for name, value in verified.unknown.items()
    ]
    who = (
        "It is signed with the key that was given."
        if verified.signed
        else "Its own SHA-256 is a checksum, not a signature: who wrote it is known only with --key."
    )
    return f"Not known, since nothing at hand can tell: {', '.join(said)}. {who}"


def _unseen(verified: Verified) -> str:
    """What blocks that were not computed again may hide."""
    from streameval.reports.numbers import percent

    if not verified.adds_up:
        return (
            "The report is of an earlier version, whose total cannot be told from its blocks: without --blocks, all of "
            "them are computed again, and the total with them."
        )
    return (
        f"The other blocks were not read. One of them that is false alone was missed with probability "
        f"{percent(verified.missed, 1)}, since the blocks were drawn at random (seed {verified.seed}); of more false "
        "ones at least one is found the more surely. Data that differ there from their recorded hashes were not seen "
        "either. Without --blocks everything is compared."
    )
