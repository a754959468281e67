"""Whether a report is true of a model and a data set: hashes compared, random blocks computed again, bit by bit.

Knows what a report carries. Does not know who made it, nor how it was computed: alone, in shards, by an engine.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any

import numpy as np

from streameval.arguments import integer
from streameval.defaults import CHUNK_ROWS, NATIVE
from streameval.errors import CheckError, DamagedModelError, DataError, UsageError
from streameval.evaluation.anatomizing import Anatomist
from streameval.evaluation.anatomy_again import anatomist_of, compare
from streameval.evaluation.certificate import Certificate, read_certificate
from streameval.evaluation.opening import open_rows
from streameval.evaluation.passes import compute
from streameval.evaluation.selection import Selection
from streameval.evaluation.tally import Block, Tally
from streameval.frozen import frozen
from streameval.models.loading import load
from streameval.models.model import Model
from streameval.scoring import check_model, make_scorer
from streameval.scoring.detailed import DetailedScorer
from streameval.scoring.rounding import measure
from streameval.scoring.scorer import Budget, Scorer
from streameval.showing import Shown
from streameval.storage.checked import CheckedSource
from streameval.storage.source import Source, Span

VERIFIED = "streameval/verify/2"


@frozen(repr=False)
class Verified(Shown):
    """What was compared and found equal: `blocks` of `of` blocks, `rows` rows computed again, `hashes` of the data
    computed again. `whole` when that was all of them; `adds_up` when the total is the sum of what is stated of the
    blocks, so that a false total takes a false block.

    seed     that the blocks were chosen by, None where all were
    scorer   who computed the losses, then and now: "native", or another library, which promises equal bits only in the
             same version on the same machine
    unknown  what the report says that was not compared with anything: paths, what it cost, errors by group; of an
             anatomy all unless `whole`, else what it says by the values of an array, which is not at hand
    signed   whether a key was given, and is the one that the report was signed with
    """

    blocks: tuple[int, ...]
    of: int
    rows: int
    hashes: int
    adds_up: bool
    digest: str
    seed: int | None = None
    unknown: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = False
    scorer: str = NATIVE

    def __repr__(self) -> str:
        return f"<Verified: {len(self.blocks)} of {self.of} blocks, {self.rows} rows, digest {self.digest}>"

    @property
    def missed(self) -> float:
        """The probability that one block which is false alone was not among the chosen ones."""
        return 1.0 - len(self.blocks) / self.of

    @property
    def whole(self) -> bool:
        """Whether every block was computed again."""
        return len(self.blocks) == self.of

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": VERIFIED,
            "blocks": list(self.blocks),
            "of": self.of,
            "rows": self.rows,
            "hashes": self.hashes,
            "adds_up": self.adds_up,
            "digest": self.digest,
            "whole": self.whole,
            "seed": self.seed,
            "missed": self.missed,
            "unknown": dict(self.unknown),
            "signed": self.signed,
            "scorer": self.scorer,
        }


def verify(
    report: str | os.PathLike[str] | dict[str, Any],
    model: Model | str | os.PathLike[str],
    data: Any,
    *,
    blocks: int | None = None,
    seed: int | None = None,
    key: bytes | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Compare a report of `evaluate` over all rows with the model and the data that it names.

    report   path of its JSON, or what `Report.to_dict` returned
    model    or the path of one, as `load_model` takes it: a file that is not what was saved is one that differs
    blocks   how many random blocks of 65,536 rows are computed again; None: all of them, and the total
    seed     chooses them; None: drawn anew, so that who made the report could not know which. With a seed that others
             could guess, `Verified.missed` promises nothing
    key      that the report must be signed with
    progress called with (blocks done, blocks in all)

    The report's own SHA-256, the numbers against its exact state, that against the sum of its blocks, all that is
    stated of model, data and scorer, the recorded hashes of the rows of the chosen blocks, what each of those comes
    to and, of all blocks, the anatomy must all be the same; a field that no report has is refused. `Verified.unknown`
    is what cannot be compared. A block that is false alone is among K of N random ones with probability K / N.

    Raises:
        CheckError: something differs; it is named.
        DataError: no report of this kind, or one over a part of the rows; data that cannot be opened.
        UsageError: blocks below 1, or fewer than all of a report that does not say what each comes to.
        StorageError: a file cannot be read.
    """
    model = _loaded(model) if isinstance(model, str | os.PathLike) else check_model(model)
    if blocks is not None:
        integer("blocks", blocks, least=1)
    drawn = secrets.randbits(48) if seed is None else integer("seed", seed, least=0)
    certificate = read_certificate(report, key)
    source, (model,) = open_rows(data, model, loss=certificate.loss)
    source = CheckedSource(source)
    certificate.check_named(model, source)
    scorer = make_scorer(model, source, certificate.loss, Budget(threads))
    certificate.check_rounding(measure(model, source, certificate.loss))
    count = len(certificate.blocks)
    if blocks is not None and blocks < count and not certificate.adds_up:
        raise UsageError(
            f"blocks: {blocks} of {count}, but {certificate.name} does not say what each of them comes to, as reports "
            "of earlier versions and of their shards: a false total could not be told from true blocks. Leave blocks "
            "(--blocks) out: all are computed again, and the total with them."
        )
    chosen = _choose(count, blocks, drawn)
    anatomist = None
    if len(chosen) == count and certificate.anatomy is not None:
        scorer, anatomist = DetailedScorer(scorer), anatomist_of(certificate.anatomy, source.unchecked)
    total = _check_blocks(certificate, scorer, source, chosen, progress, anatomist)
    if len(chosen) == count and total.state.digest != certificate.said["digest"]:
        raise CheckError(
            f"{certificate.name}: digest {certificate.said['digest']}, but all rows together give "
            f"{total.state.digest}. {_blame(scorer)}"
        )
    unknown = certificate.unknown
    if total.anatomy is not None:
        del unknown["anatomy"]
        unknown |= compare(certificate, total.anatomy, _blame(scorer))
    _check_content(certificate, source)
    rows = sum(len(certificate.rows_of(block)) for block in chosen)
    return Verified(
        tuple(chosen), count, rows, source.compared(), certificate.adds_up, certificate.state.digest,
        None if len(chosen) == count else drawn, unknown, key is not None,
        scorer.name,
    )  # fmt: skip


@contextmanager
def loading_model() -> Iterator[None]:
    """While a model is loaded to be compared: a damaged file is none that no one could read, but one that differs.

    Raises CheckError instead of DamagedModelError.
    """
    try:
        yield
    except DamagedModelError as error:
        raise CheckError(str(error)) from error


def _loaded(path: str | os.PathLike[str]) -> Model:
    with loading_model():
        return load(path)


def _check_content(certificate: Certificate, source: CheckedSource) -> None:
    """Compare the content that the evaluation hashed as it read it with what was read here, if that was all of it."""
    said = certificate.said.get("check") or {}
    stated = said.get("content")
    if stated is not None and (said["blocks"], said["recorded"]) != source.all_blocks():
        raise CheckError(
            f"{certificate.name}: check says {said['blocks']} blocks, recorded {said['recorded']}; of these data they "
            f"are {source.all_blocks()}. The report was altered: evaluate again."
        )
    try:
        found = source.hashed().content
    except DataError as error:
        raise CheckError(f"{error} The data are not those of {certificate.name}.") from error
    if stated is not None and found is not None and stated != found:
        raise CheckError(
            f"{source.name}: the content that was read is {found}, but {certificate.name} is of {stated[:80]}. Give "
            "the data that were evaluated."
        )


def _choose(count: int, wanted: int | None, seed: int) -> list[int]:
    if wanted is None or wanted >= count:
        return list(range(count))
    return sorted(np.random.default_rng(seed).choice(count, wanted, replace=False).tolist())


def _check_blocks(
    certificate: Certificate,
    scorer: Scorer,
    source: Source,
    chosen: Sequence[int],
    progress: Callable[[int, int], None] | None,
    anatomist: Anatomist | None,
) -> Tally:
    """Compute the chosen blocks again; return what the first of them that lie side by side come to."""
    total: Tally | None = None
    for done, number in enumerate(chosen, start=1):
        rows, stated = certificate.rows_of(number), certificate.blocks[number]
        try:
            left_out = certificate.state.sums.left_out > 0
            tally = _again(scorer, source, rows, allow_nonfinite=left_out, anatomist=anatomist)
        except DataError as error:
            raise CheckError(f"{error} Block {number} differs from {certificate.name}.") from error
        true = Block.of(tally.state)
        if true.digest != stated.digest or (stated.sums is not None and true != stated):
            raise CheckError(
                f"{source.name}, block {number}, rows {rows.start}:{rows.stop}: computed again their digest is "
                f"{true.digest}, and their loss {true.sums and true.sums.mean}; in {certificate.name} it is "
                f"{stated.digest}, and {stated.sums and stated.sums.mean}. {_blame(scorer)}"
            )
        if total is None:
            total = tally
        elif total.span.stop == rows.start:
            total += tally
        if progress is not None:
            progress(done, len(chosen))
    assert total is not None
    return total


def _blame(scorer: Scorer) -> str:
    """What other bits tell: of a library that promises none, not that anything is false."""
    if scorer.name == NATIVE:
        return (
            "The report was not computed from this model and these data, or one of the two computations was disturbed: "
            "evaluate again."
        )
    return (
        f"{scorer.name} promises equal bits only in the same version, on the same machine, with the same threads and "
        "--chunk-rows: if one of these is another than then, this does not say that the report is false. Compare both "
        "losses."
    )


def _again(
    scorer: Scorer, source: Source, rows: Span, *, allow_nonfinite: bool, anatomist: Anatomist | None
) -> Tally:
    """What comes of consecutive rows."""
    tally = Tally.empty(rows.start, scorer.classes)
    tasks = Selection(Span(0, source.rows)).tasks([rows])
    for part in compute(
        [scorer], source, tasks, chunk_rows=CHUNK_ROWS, allow_nonfinite=allow_nonfinite, anatomist=anatomist
    ):
        tally += part.tallies[0]
    return tally
