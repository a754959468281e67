"""The loss of a model over a data set, whole or in part: one pass, chunk by chunk, into an exact state."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from streameval.arguments import integer
from streameval.defaults import CHUNK_ROWS
from streameval.deprecation import gathered
from streameval.elementary import log
from streameval.errors import (
    DataError,
    IncompleteDataError,
    IncompleteError,
    StorageError,
    StreamevalWarning,
    UsageError,
)
from streameval.evaluation.checkpoint import Checkpoint, CheckpointWriter, resumed
from streameval.evaluation.events import Callback, EventFile, Listeners
from streameval.evaluation.grouping import GroupSums
from streameval.evaluation.identity import Identity, inputs
from streameval.evaluation.loss_file import remove_spool, spool_of, spooling, write_losses
from streameval.evaluation.memory import parse_size, planned_scorers
from streameval.evaluation.opening import groups_of, subject
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.passes import Engine, Part, PassSpec, Sink, compute, compute_on, portable
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Meter
from streameval.evaluation.selection import Rows, Selection
from streameval.evaluation.shards import StateFile, shard_span
from streameval.evaluation.signals import DeferredSignals, defer_signals
from streameval.evaluation.state import LossSums
from streameval.files import Output, check_outputs
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.showing import with_progress
from streameval.storage.checked import CheckedSource, Hashed
from streameval.storage.source import Source, Span

if TYPE_CHECKING:
    from streameval.evaluation.anatomizing import Anatomist
    from streameval.outputs.source import Outputs


@frozen
class PassOptions:
    """How a pass is carried out that takes more than one sitting, one machine or one number.

    checkpoint  file that an interrupted pass goes on from: Ctrl-C and SIGTERM wait for the chunk and write it;
                it is removed when the pass is complete
    shard       (i, n): only the i-th of n equal parts of the rows, counted from 0; see `shards.write_state`, `merge`
    engine      who computes: `streameval.engines.dask.Dask`; None for this process
    losses      file that the loss of every row is written to: see `loss_file.write_losses`
    callbacks   told of the start, each chunk and the end: `events.Callback`
    """

    checkpoint: str | os.PathLike[str] | Checkpoint | None = None
    shard: tuple[int, int] | None = None
    engine: Engine | None = None
    losses: str | os.PathLike[str] | None = None
    callbacks: Sequence[Callback] = ()

    @property
    def outputs(self) -> Iterator[Output]:
        """The files that the pass writes."""
        checkpoint = self.checkpoint
        kept = checkpoint.path if isinstance(checkpoint, Checkpoint) else checkpoint
        yield Output("checkpoint", kept)
        yield Output("losses", self.losses)
        if kept is not None and self.losses is not None:
            yield Output("the losses kept beside the checkpoint", spool_of(kept))
        for callback in self.callbacks:
            if isinstance(callback, StateFile | EventFile):
                yield Output(type(callback).__name__, callback.path, added=isinstance(callback, EventFile))


ONE_SITTING = PassOptions()
# How far a sum may be off, relatively, before that is said.
MOST_OFF = 1e-4
LN10 = 2.302585092994046


@gathered("options", PassOptions, "checkpoint", "shard", "engine", "callbacks")
@with_progress("evaluating")
def evaluate(
    model: Model | Outputs,
    data: Any = None,
    *,
    rows: Rows = None,
    loss: Loss | None = None,
    eps: float | None = None,
    chunk_rows: int | None = None,
    threads: int | None = None,
    max_memory: int | str | None = None,
    allow_nonfinite: bool = False,
    groups: Any = None,
    anatomy: bool = False,
    by: Any = None,
    progress: Callable[[int, int], None] | bool | None = None,
    options: PassOptions = ONE_SITTING,
) -> Report:
    """Return the exact loss of the model over the rows, with all that a pass can tell.

        E = -(1/N) sum_n sum_k t_nk log(y_nk + eps), in nats; eps = 0: exact log-softmax

    model       the network, or saved outputs (`streameval.open_outputs`), which need no data
    data        anything `streameval.open` takes
    rows        None for all; a slice, range or Span; a boolean mask; row numbers (n,), repeats counted. Where they
                select none, the report has 0 rows, and None as its loss
    loss        what a row costs: `CrossEntropy(eps=1e-7)` by default; `eps` alone means cross-entropy with that eps
    chunk_rows  rows read at a time, 16,384 by default, 65,536 of arrays in memory with a small network: no result
                depends on it
    threads     default: what affinity mask and cgroup allow; no result depends on it
    max_memory  bytes, or "256M": what the pass may hold beyond imports and kernels; chunks and threads follow it
    allow_nonfinite   leave rows with NaN or infinite features out, and count them, instead of raising
    groups      one for each row of the data set (documents, writers: rows of one may be alike), (rows,) integers or
                strings, or the name of a column of Arrow files or tables: the report's errors take groups, not rows, as
                independent. It takes 8 bytes a row; not with a checkpoint, shard or engine
    anatomy     take the loss apart, as `Report.anatomy`: quantiles, the part of the worst 1 %, and, where the model
                gives probabilities, top-k accuracies, Brier score and calibration error. Exact and in fixed memory; no
                other result changes
    by          `anatomy`, and results by value in it: as `groups` is given, at most 1,000 different ones; not with an
                engine
    progress    called with (rows done, rows in all) after each chunk; True: a bar, at a terminal or in a notebook
    options     checkpoint, shard, engine, file of losses, callbacks

    Raises:
        ModelError: the model does not take rows like these.
        DataError, LabelError: a data set without rows; a row with a label outside the classes or features that
            are not finite; a file that changed during the pass; a checkpoint of another pass.
        StorageError: `max_memory` is too little for one row; a file cannot be written.
        IncompleteError: an engine could not compute some spans. With a checkpoint the others are kept, and the pass
            can go on (7); where nothing is kept, the error is one of the cause's kind as well, with its code.
        LockedError: another process uses the checkpoint or writes the losses.
        UsageError: an argument that cannot mean anything; an output that is read as well.
    """
    network, source, chosen_loss = subject(model, data, loss, eps)
    if outputs := [one for one in options.outputs if one.path is not None]:
        # What a folder holds is looked up only to keep it from being written to.
        check_outputs(outputs, inputs(source, network))
    selection = Selection.of(rows, source)
    limit = None if max_memory is None else parse_size(max_memory)
    one = _Pass(
        network, source, selection, chosen_loss, shard_span(options.shard, len(selection)), options,
        None if chunk_rows is None else integer("chunk_rows", chunk_rows, least=1), Budget(threads, limit),
        allow_nonfinite,
        _group_sums(groups_of(source, groups), source, selection, options),
        _anatomist(anatomy, by, source, options),
    )  # fmt: skip
    report = one.run(data, progress if callable(progress) else None)
    if getattr(chosen_loss, "outputs", None) == "numbers":
        _warn_of_units(source.name, chosen_loss, report.state.sums)
    return report


def _warn_of_units(name: str, loss: Loss, sums: LossSums) -> None:
    """Warn where losses are about as small as the steps in which they are added up, so that their sum loses digits."""
    least = sums.worst[-1][0] if sums.worst else 0.0
    # All other rows cost no more than the least of the worst ones do: where that is 0, nothing is lost of them.
    costing = sums.rows if least else sum(one > 0.0 for one, _ in sums.worst)
    off = 0.5 * costing
    if off <= MOST_OFF * sums.units:
        return
    # What would make the largest loss about 1.
    factor = 10.0 ** math.ceil(-log(sums.largest) / LN10 / getattr(loss, "degree", 2))
    much = f"may be off by up to {100 * off / sums.units:.2g} %" if sums.units else "is lost"
    too = "".join(f", and {name} with them" for name in getattr(loss, "in_units", ()))
    warnings.warn(
        f"{name}: the largest {loss.name} loss is {sums.largest:.2g}, and losses are added up in steps of "
        f"2^-40 = 9.1e-13: their mean {much}. Measure outputs and targets in a smaller unit: multiply both, such as by "
        f"{factor:.0e}{too}.",
        StreamevalWarning,
        stacklevel=2,
    )


def _group_sums(groups: Any, source: Source, selection: Selection, options: PassOptions) -> GroupSums | None:
    """The sink that adds up by group, None without groups; refused where a part of the rows comes from elsewhere."""
    if groups is None:
        return None
    if options.checkpoint is not None or options.shard is not None or options.engine is not None:
        raise UsageError(
            "groups (--group) with a checkpoint, shard or engine: sums by group are added up in one pass here alone. "
            "Leave those out, or keep the losses (--losses) and compare them by group afterwards."
        )
    return GroupSums(groups, source, selection)


def _anatomist(anatomy: bool, by: Any, source: Source, options: PassOptions) -> Anatomist | None:
    """What takes the losses apart, None where nobody asked."""
    if by is not None and options.engine is not None:
        raise UsageError(
            "by (--by) with an engine: workers do not have the values by which rows are told apart. Leave one of "
            "them out; with shards or a checkpoint it works."
        )
    if not anatomy and by is None:
        return None
    from streameval.evaluation.anatomizing import Anatomist

    return Anatomist(source, by)


@frozen(eq=False)
class _Pass:
    """One evaluation: what it is of, and how it is carried out."""

    model: Model
    source: Source
    selection: Selection
    loss: Loss
    span: Span
    options: PassOptions
    chunk_rows: int | None
    budget: Budget
    allow_nonfinite: bool
    groups: GroupSums | None
    anatomist: Anatomist | None

    def run(self, data: Any, progress: Callable[[int, int], None] | None) -> Report:
        """Compute what is missing, with everything that takes part in it, and report."""
        options, identity = self.options, self._identity()
        with ExitStack() as stack:
            writer, results = None, PartialResults(self.span)
            if options.checkpoint is not None and identity is not None:
                writer = stack.enter_context(resumed(options.checkpoint, identity, self.span, self.source))
                results = writer.results
            spool = None
            if options.losses is not None:
                beside = None if writer is None else writer.path
                spool = stack.enter_context(spooling(options.losses, self.span, beside))
            if writer is not None and spool is not None:
                results = writer.results = spool.resume(results, writer.stored)
                writer.beside = spool.sync
            parts, scorer_name, classes, threads = self._parts(data, identity, results)
            listeners = Listeners(options.callbacks, len(self.span), results.rows)
            listeners.started(self.model, self.source.name, self.loss)
            meter = Meter(self.budget.max_memory)
            sinks = [one for one in (spool, results, writer, self.groups) if one is not None]
            signals = defer_signals() if writer is not None else nullcontext()
            with listeners.told_of_errors(), signals as deferred:
                watch = _Watch(results, listeners, meter, progress)
                _drive(parts, sinks, watch, self.source, writer, deferred)
                tally = results.whole(classes)
                report = Report(
                    tally.state, self.loss, self.model, self.source,
                    meter.resources(len(self.span) - listeners.before, threads), scorer_name,
                    tally if self._keeps_blocks() else None, identity,
                    None if self.groups is None else self.groups.clusters(), self._hashed(),
                    anatomy=tally.anatomy,
                )  # fmt: skip
                if spool is not None and options.losses is not None:
                    write_losses(
                        options.losses, spool, self.span, self.selection,
                        model=self.model, data=self.source, loss=self.loss,
                    )  # fmt: skip
                _stop_if_told(writer, deferred)
            listeners.finished(report)
            if spool is not None:
                spool.remove()
            if writer is not None:
                writer.remove()
                if spool is None:
                    remove_spool(writer.path)
        return report

    def _hashed(self) -> Hashed | None:
        """What was hashed as it was read, None if that was not asked for. Workers hash what they read themselves."""
        if not isinstance(self.source, CheckedSource):
            return None
        if self.options.engine is not None:
            self.source.seen_elsewhere(self.selection.within(self.span).rows)
        return self.source.hashed()

    def _identity(self) -> Identity | None:
        """What the pass is of, where parts of it may be joined with others; it takes a hash of the data."""
        options = self.options
        if options.checkpoint is None and options.shard is None and options.engine is None:
            return None
        if not getattr(self.model, "identified", True):
            raise UsageError(
                f"{self.model.summary}: its content is not known, so that parts of a pass of it cannot be told from "
                "those of another. Say what it is: streameval.Predictor(predict=..., identity='a hash or a version')."
            )
        return Identity.of(
            self.model, self.source, self.selection, self.loss, nonfinite=self.allow_nonfinite,
            anatomy="" if self.anatomist is None else self.anatomist.named,
        )  # fmt: skip

    def _keeps_blocks(self) -> bool:
        return self.options.shard is not None or self.selection.is_all(self.source)

    def _parts(
        self, data: Any, identity: Identity | None, results: PartialResults
    ) -> tuple[Iterator[Part | None], str, int | None, int]:
        """The parts that are missing, as they are computed; and by whom, of how many classes, with how many threads."""
        if self.options.engine is not None and identity is not None:
            spec = PassSpec(
                self.model, portable(data, self.source), self.source.scale, self.source.io, identity,
                self.chunk_rows or CHUNK_ROWS, self.budget, self.options.losses is not None,
                isinstance(self.source, CheckedSource),
            )  # fmt: skip
            # Nothing is computed here: a scorer tells whether the model fits, and is let go.
            scorer = make_scorer(self.model, self.source, self.loss, Budget(threads=1))
            parts = compute_on(self.options.engine, spec, self.selection, results, self.source)
            return parts, scorer.name, scorer.classes, 0
        (scorer,), chunk_rows = planned_scorers(
            [self.model],
            self.source,
            self.loss,
            self.budget,
            self.chunk_rows,
            self.selection.numbers_bytes,
            detailed=self.anatomist is not None,
        )
        parts = compute(
            [scorer], self.source, self.selection.tasks(results.gaps()),
            chunk_rows=chunk_rows, allow_nonfinite=self.allow_nonfinite, anatomist=self.anatomist,
        )  # fmt: skip
        return parts, scorer.name, scorer.classes, scorer.threads


@frozen(eq=False)
class _Watch:
    """What looks on at a pass after each part: the meter, the listeners, the progress. A sink."""

    results: PartialResults
    listeners: Listeners
    meter: Meter
    progress: Callable[[int, int], None] | None

    def add(self, part: Part) -> None:
        self.meter.look()
        if part.usage is not None:
            self.meter.add(part.usage)
        rows = self.results.rows
        if self.listeners:
            self.listeners.advanced(part.span, rows, self.results.loss)
        if self.progress is not None:
            self.progress(rows, len(self.results.span))


def _drive(
    parts: Iterator[Part | None],
    sinks: Sequence[Sink],
    watch: _Watch,
    source: Source,
    writer: CheckpointWriter | None,
    deferred: DeferredSignals | None,
) -> None:
    """Take the parts in to the last one; when a signal waits, or some fail, write the checkpoint first."""
    try:
        for part in parts:
            if part is not None:
                for sink in (*sinks, watch):
                    sink.add(part)
            _stop_if_told(writer, deferred)
    except IncompleteError as error:
        try:
            source.check_unchanged()
        except DataError as changed:
            # A worker that touches what was cut off a mapped file dies without a word.
            raise IncompleteDataError(
                str(error) if isinstance(error, DataError) else f"{error} {changed}"
            ) from error
        if writer is None or not writer.results.rows:
            raise  # Nothing is kept: what was wrong is all there is to say.
        try:
            writer.save()
        except StorageError as full:
            raise StorageError(f"{error} This time they are not: {full}") from error
        # The others are kept: whatever was wrong, the pass is incomplete and can go on.
        raise IncompleteError(str(error)) from error
    except StorageError:
        # Who ends a group of processes ends the workers too, which is no other trouble.
        _stop_if_told(writer, deferred)
        raise


def _stop_if_told(writer: CheckpointWriter | None, deferred: DeferredSignals | None) -> None:
    """Where a signal waits, write the checkpoint, say what it keeps, and let the signal do what it does."""
    if writer is None or deferred is None or not deferred.waiting:
        return
    writer.save()
    try:
        warnings.warn(f"interrupted: {writer.kept()}", StreamevalWarning, stacklevel=2)
    finally:
        deferred.deliver()
