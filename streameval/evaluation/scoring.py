"""From a model and a chunk of rows to one loss a row: the only thing evaluation asks of a model.

Knows how a network meets the kernels: packing, scratch, threads. Does not know files or sums.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import found, integer, real
from streameval.errors import ModelError, UsageError
from streameval.models.mlp import Mlp
from streameval.storage import targets
from streameval.storage.source import Chunk, Source

if TYPE_CHECKING:
    from streameval.kernels.packing import Packed
    from streameval.kernels.running import Scratch


MOST_THREADS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One value a row: loss (n,) float64 in nats, true and predicted class (n,) int64."""

    loss: NDArray[np.float64]
    target: NDArray[np.int64]
    predicted: NDArray[np.int64]


class Scorer(Protocol):
    """Turns chunks of one source into scores. A row's scores depend on that row alone."""

    classes: int

    def score(self, chunk: Chunk) -> Scores:
        """Score every row of the chunk. Raises LabelError for a label outside the classes."""


class NetworkScorer:
    """Scores rows with a network, by the kernels; holds the packed weights and the threads' scratch."""

    def __init__(self, model: Mlp, source: Source, *, eps: float, threads: int | None = None) -> None:
        from streameval.kernels import threads as cpus

        check_fit(model, source)
        self.classes = model.classes
        self.threads = check_threads(threads) if threads is not None else cpus.available()
        self._name = source.name
        self._eps = check_eps(eps)
        self._packed = packed(model, source)
        self._scratch = _scratch(self._packed, self.threads)

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`. Scores of a row whose features are not finite have a loss of NaN."""
        loss, predicted = np.empty(len(chunk)), np.empty(len(chunk), np.int64)
        soft = chunk.t.ndim == 2
        target = np.argmax(chunk.t, axis=1) if soft else chunk.t
        if not soft:
            check_labels(chunk, self.classes, self._name)
        self._run(chunk, loss, predicted, _NO_PROBABILITIES)
        return Scores(loss, target, predicted)

    def probabilities(self, chunk: Chunk) -> NDArray[np.float32]:
        """Softmax of the logits, float32 (n, classes); the chunk's targets are not looked at."""
        out = np.empty((len(chunk), self.classes), np.float32)
        self._run(chunk, np.empty(len(chunk)), np.empty(len(chunk), np.int64), out)
        return out

    def _run(self, chunk: Chunk, loss: Any, predicted: Any, probabilities: Any) -> None:
        from streameval.kernels.running import forward

        labels, soft = (_NO_LABELS, chunk.t) if chunk.t.ndim == 2 else (chunk.t, _NO_SOFT)
        forward(
            self._packed, self._scratch, chunk.values, chunk.offsets, labels, soft, self._eps,
            loss, predicted, probabilities,
        )  # fmt: skip


# Packing takes milliseconds, an evaluation little more: a model is packed once for each kind of rows.
_PACKED: WeakKeyDictionary[Mlp, dict[tuple[str, float], Packed]] = WeakKeyDictionary()


def packed(model: Mlp, source: Source) -> Packed:
    """The network packed for rows like these, kept as long as the network lives."""
    from streameval.kernels.packing import pack

    kept = _PACKED.setdefault(model, {})
    key = (source.dtype.str, source.scale)
    if key not in kept:
        kept[key] = pack(model.layers, dtype=source.dtype, scale=source.scale)
    return kept[key]


# Only running kernels write scratch, and they run one at a time: scorers of one network can share it.
_SCRATCH: WeakKeyDictionary[Packed, dict[int, Scratch]] = WeakKeyDictionary()


def _scratch(network: Packed, threads: int) -> Scratch:
    from streameval.kernels.running import Scratch

    kept = _SCRATCH.setdefault(network, {})
    if threads not in kept:
        kept[threads] = Scratch.of(network, threads)
    return kept[threads]


_NO_LABELS = np.empty(0, np.int64)
_NO_SOFT = np.empty((0, 0))
_NO_PROBABILITIES = np.empty((0, 0), np.float32)


def check_model(model: object) -> Mlp:
    """The network; raise UsageError, with what to write, if it is something else: the path of one, for instance."""
    if isinstance(model, Mlp):
        return model
    cure = "Give what streameval.load_model returns."
    if isinstance(model, str | os.PathLike):
        cure = f"Load it: streameval.load_model({os.fspath(model)!r})."
    raise UsageError(f"model: {found(model)}, expected a network. {cure}")


def check_fit(model: Mlp, source: Source) -> None:
    """Raise ModelError unless the network takes rows like these, UsageError if it is no network."""
    check_model(model)
    if model.features != source.features:
        raise ModelError(
            f"{model.path or 'the model'} takes {model.features} features, but the rows of {source.name} have "
            f"{source.features} ({' x '.join(map(str, source.shape))}). Choose the model that belongs to this data."
        )
    if source.soft and source.classes != model.classes:
        raise ModelError(
            f"{model.path or 'the model'} has {model.classes} classes, but the targets of {source.name} have "
            f"{source.classes}. Choose the model that belongs to this data."
        )


def check_labels(chunk: Chunk, classes: int, name: str) -> None:
    """Raise LabelError, naming the first row, if a label is not in [0, classes)."""
    if not targets.usable_label(chunk.largest_label, classes):
        raise targets.refuse(name, classes, [(np.asarray(chunk.rows), chunk.t)])


def check_eps(eps: float) -> float:
    """eps as a float; raise UsageError unless 0 <= eps < 1."""
    expected = "a number from 0 (exact log-softmax) to below 1, for instance 1e-7"
    checked = real("eps", eps, expected)
    if not 0.0 <= checked < 1.0:
        raise UsageError(f"eps: {eps!r}, expected {expected}.")
    return checked


def check_threads(threads: int) -> int:
    """threads; raise UsageError unless it is an integer from 1 to the larger of MOST_THREADS and four for each CPU.

    More of them would only wait for one another, and each holds memory of its own.
    """
    checked, most = integer("threads", threads, least=1), max(MOST_THREADS, 4 * (os.cpu_count() or 1))
    if checked > most:
        raise UsageError(
            f"threads: {checked}, expected 1 to {most} on this machine of {os.cpu_count()} CPUs. No result depends on "
            "it: leave it out to use every CPU that may be used."
        )
    return checked
