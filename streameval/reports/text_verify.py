"""What a verification compared, as text. Does not know how it was compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.defaults import NATIVE
from streameval.reports.numbers import count, percent
from streameval.reports.terminal import TextStyle, paragraph

if TYPE_CHECKING:
    from streameval.evaluation.verify import Verified


def verified(result: Verified, style: TextStyle) -> str:
    """What was compared."""
    how = "all blocks" if result.whole else f"{count(len(result.blocks))} of {count(result.of)} blocks"
    recorded = f"{count(result.hashes)} recorded hashes of their rows" if result.hashes else "its fingerprint"
    total = "the sum of all blocks" if result.adds_up else "that of all rows together"
    lines = [style.bold("The report is true of this model and these data, as far as was compared."), ""]
    lines += paragraph(
        f"Computed again: {how}, {count(result.rows)} rows, equal to the bit. Compared as well: every number with "
        f"the exact state and that with {total}; what is said of model, data and scorer; of the data "
        f"{recorded}.",
        style,
    )
    if result.scorer != NATIVE:
        lines += ["", *paragraph(_others_bits(result.scorer), style)]
    if not result.whole:
        lines += ["", *paragraph(_unseen(result), style)]
    lines += ["", *paragraph(_unknown(result), style)]
    return style.finish([*lines, "", f"digest  {result.digest}"])


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
    return (
        f"The other blocks were not read. One of them that is false alone was missed with probability "
        f"{percent(verified.missed, 1)}, since the blocks were drawn at random (seed {verified.seed}); of more false "
        "ones at least one is found the more surely. Data that differ there from their recorded hashes were not seen "
        "either. Without --blocks everything is compared."
    )
