"""A network of layers, scored by the kernels: packed weights, scratch, threads.

Knows how a network meets the kernels. Does not know files or sums.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import CHUNK_ROWS, LONG_CHUNK_ROWS
from streameval.errors import ModelError, StorageError
from streameval.losses.loss import Loss
from streameval.models.network import Network
from streameval.scoring.numbers import check_numbers, check_sizes, checked_outputs, number_targets
from streameval.scoring.scorer import Budget, Scores, check_threads
from streameval.storage import targets
from streameval.storage.source import Chunk, Source

if TYPE_CHECKING:
    from streameval.kernels.packing import Packed
    from streameval.kernels.running import Forward, Scratch

# While a layer is packed it is there as float64, integers and digits too.
PACKING_BYTES = 40
# Products and values of a row, of a network that computes 65,536 rows in some ten milliseconds.
SMALL = 1 << 16
# Rows, evenly over the data set, whose labels say whether they are places or names of classes.
PROBED = 64


class NetworkScorer:
    """Scores rows with a network, by the kernels. See `Scorer`."""

    name = "native"

    def __init__(
        self, model: Network, source: Source, loss: Loss, budget: Budget, *, labelled: bool = True
    ) -> None:
        """See `make_scorer`; `labelled` says whether the source's labels are those of its rows."""
        check_fit(model, source, loss)
        if model.labels and labelled and loss.classifies and not source.soft:
            check_names(model, source)
        self.model, self.loss = model, loss
        self.classes = model.outputs if loss.classifies else None
        self.threads = check_threads(budget.threads)
        self._source_name, self._dtype, self._scale = source.name, source.dtype, source.scale
        self._forwards: dict[int, Forward] = {}
        if budget.max_memory is not None:
            _check_packing(model, budget.max_memory)

    def score(self, chunk: Chunk) -> Scores:
        """See `Scorer`."""
        return self._scores(chunk, None)

    def detailed(self, chunk: Chunk) -> Scores:
        """The same scores, of the same computation, with the probabilities that come of it, float32."""
        if self.classes is None:
            return self.score(chunk)
        return self._scores(chunk, np.empty((len(chunk), self.model.outputs), np.float32))

    def _scores(self, chunk: Chunk, probabilities: NDArray[np.float32] | None) -> Scores:
        loss, predicted = np.empty(len(chunk)), np.empty(len(chunk), np.int64)
        if self.classes is None:
            self._run(chunk, number_targets(self._source_name, chunk, self.loss), loss, predicted, None)
            check_sizes(self._source_name, chunk, loss, self.loss)
            return Scores(loss, None, None)
        soft = chunk.t.ndim == 2
        if not soft:
            targets.check_chunk(self._source_name, self.model.outputs, chunk)
        self._run(chunk, chunk.t, loss, predicted, probabilities)
        target = np.argmax(chunk.t, axis=1) if soft else chunk.t
        return Scores(loss, target, predicted, probabilities, chunk.t if soft else None)

    def probabilities(self, chunk: Chunk) -> NDArray[np.float32]:
        """Softmax of the logits, float32 (n, outputs); the chunk's targets are not looked at."""
        out = np.empty((len(chunk), self.model.outputs), np.float32)
        self._run(chunk, chunk.t, np.empty(len(chunk)), np.empty(len(chunk), np.int64), out)
        return out

    def reference(self, chunk: Chunk) -> NDArray[np.float64]:
        """See `Scorer`. Weights are the float32 ones of the kernels; about 40 times slower than they are."""
        return self.loss.reference(self.model.reference(chunk.x.astype(np.float64) * self._scale), chunk.t)

    @property
    def most_rows(self) -> int:
        """Rows of a chunk that is worth its while: between two of them a third of a millisecond goes by."""
        small = self.model.multiply_adds + sum(self.model.sizes) <= SMALL
        return LONG_CHUNK_ROWS if small else CHUNK_ROWS

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """See `Scorer`. Rows are computed a tile at a time, so that chunks hold nothing here."""
        from streameval.kernels.running import Scratch

        packed = self._prepared.packed
        return packed.nbytes + threads * Scratch.of(packed, 1).nbytes

    @cached_property
    def _prepared(self) -> _Prepared:
        """The network as the kernels want it, made when it is first needed: who lets others compute needs none."""
        from streameval.kernels.packing import pack

        kept, key = _PREPARED.setdefault(self.model, {}), (self._dtype.str, self._scale)
        if key not in kept:
            kept[key] = _Prepared(
                pack(self.model.packable, dtype=self._dtype, scale=self._scale, shape=self.model.shape)
            )
        return kept[key]

    @property
    def forward(self) -> Forward:
        """The kernel with all that it needs besides rows."""
        forward = self._forwards.get(self.threads)
        if forward is None:
            from streameval.kernels.running import Forward

            network = self._prepared
            forward = Forward(network.packed, network.scratch(self.threads), self.loss)
            self._forwards[self.threads] = forward
        return forward

    def _run(self, chunk: Chunk, t: NDArray[Any], loss: Any, predicted: Any, probabilities: Any) -> None:
        self.forward(chunk.values, chunk.offsets, t, loss, predicted, probabilities)


class _Prepared:
    """A network packed for rows of one kind, and the scratch of as many threads as were asked for."""

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        # Only running kernels write scratch, and they run one at a time: scorers of one network can share it.
        self._scratch: dict[int, Scratch] = {}

    def scratch(self, threads: int) -> Scratch:
        from streameval.kernels.running import Scratch

        if threads not in self._scratch:
            self._scratch[threads] = Scratch.of(self.packed, threads)
        return self._scratch[threads]


# Packing takes milliseconds, an evaluation little more: a model is packed once for each kind of rows.
_PREPARED: WeakKeyDictionary[Network, dict[tuple[str, float], _Prepared]] = WeakKeyDictionary()


def check_fit(model: Network, source: Source, loss: Loss) -> None:
    """Raise ModelError unless the network takes rows like these, and has outputs that the loss can compare."""
    if model.features != source.features:
        sides = f" ({' x '.join(map(str, source.shape))})" if len(source.shape) > 1 else ""
        cure = "Choose the model that belongs to this data."
        if source.rows == model.features:
            cure = f"There are {source.rows} rows: if these are the features, transpose the data."
        raise ModelError(
            f"{model.path or 'the model'} takes {model.features} features, but the rows of {source.name} have "
            f"{source.features}{sides}. {cure}"
        )
    mine, theirs = ([side for side in shape if side != 1] for shape in (model.shape, source.shape))
    if len(mine) > 1 and len(theirs) > 1 and mine != theirs:
        raise ModelError(
            f"{model.path or 'the model'} takes images of {' x '.join(map(str, model.shape))} (channels, height, "
            f"width), but the rows of {source.name} are {' x '.join(map(str, source.shape))}: in another order. "
            "Convert the data to channels first: x.transpose(0, 3, 1, 2)."
        )
    if model.raw and (source.dtype != np.uint8 or source.scale != 1.0):
        found = f"are {source.dtype}" if source.dtype != np.uint8 else f"are multiplied by {source.scale:.6g}"
        raise ModelError(
            f"{model.path or 'the model'} takes bytes (uint8), pixels as they are stored, but the features of "
            f"{source.name} {found}. Open uint8 data with scale=1 (--scale 1): the model scales them itself."
        )
    if not loss.classifies:
        checked_outputs(model, loss)
        check_numbers(model.path or "the model", model.outputs, source, loss)
    elif source.soft and source.classes != model.outputs:
        raise ModelError(
            f"{model.path or 'the model'} has {model.outputs} classes, but the targets of {source.name} have "
            f"{source.classes}. Choose the model that belongs to this data."
        )


def check_names(model: Network, source: Source) -> None:
    """Raise ModelError unless labels are places among the classes, and cannot be the numbers that the file calls them.

    A label that is a place and no name decides it, in 64 rows evenly over the data set. Where all places that are
    names are the same class by both there is nothing to decide.
    """
    places = [place for place in range(model.outputs) if place in model.labels]
    if source.rows == 0 or all(model.labels[place] == place for place in places):
        return
    rows = np.unique(np.linspace(0, source.rows - 1, PROBED).astype(np.int64))
    labels = source.take(rows).t
    if (((labels >= 0) & (labels < model.outputs)) & ~np.isin(labels, model.labels)).any():
        return
    shown = ", ".join(map(str, model.labels[:6])) + (", …" if len(model.labels) > 6 else "")
    first = model.labels[0]
    counted = model.labels == tuple(range(first, first + model.outputs))
    cure = f": streameval convert --first-label {first}" if counted else ""
    raise ModelError(
        f"{model.path or 'the model'} calls its classes {shown}, and all labels of {source.name} that were looked at, "
        f"of {len(rows)} rows, may be these names: are they, or do they count from 0 in that order? Names have to "
        f"become such places, 0 for {first}{cure}. If they are places, forget the names: "
        "streameval.load_model(path).save('network.safetensors')."
    )


def _check_packing(model: Network, limit: int) -> None:
    """Raise StorageError if packing the network, which comes before the pass, would take more than `limit` bytes."""
    largest = max(sum(array.size for array in layer.arrays().values()) for layer in model.layers)
    needed = PACKING_BYTES * largest + 4 * model.parameters
    if needed > limit:
        raise StorageError(
            f"max_memory: {limit} bytes, but {needed} are needed to prepare this model of {model.parameters} "
            "parameters. Allow more memory."
        )
