"""The table of workloads: what is measured, by whom, in which settings.

Knows names and sizes. Does not know how anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from benchmarks.data import Task
from benchmarks.timing import Ready


@dataclass(frozen=True)
class Contestant:
    """Who takes part, and with which chunk sizes: the best one counts.

    module    a file of `peers/`, which imports the library it is named after
    function  a function there, from a Task and a chunk size to a Ready
    """

    who: str
    module: str
    function: str = "whole"
    chunks: tuple[int | None, ...] = (None,)
    # Takes half a minute of compiling for each setting: left out by --quick.
    slow: bool = False

    def prepare(self, task: Task, chunk: int | None) -> Ready:
        """Everything that happens before the clock starts. Raises ImportError where the library is missing."""
        module = import_module(f"benchmarks.peers.{self.module}")
        function: Callable[[Task, int | None], Ready] = getattr(module, self.function)
        return function(task, chunk)


@dataclass(frozen=True)
class Race:
    """Contestants side by side on one network and its rows, in one process of its own.

    title        for people; `{rows}` is the number of rows
    network      a row of `data.NETWORKS`
    rows         rows of the data set
    job          rows of what is timed: all of them, or those of a mini-batch
    one_thread   on one CPU, one thread each
    """

    title: str
    network: str
    rows: int
    contestants: tuple[Contestant, ...]
    job: int
    one_thread: bool = False


OURS: Final = "streameval"

_CHUNKED: Final = (
    Contestant(OURS, "with_streameval"),
    Contestant("ONNX Runtime", "with_onnxruntime", chunks=(500, 1000, 2000, 5000)),
    Contestant("JAX, jit", "with_jax", chunks=(5000, 10000, 60000)),
    Contestant("PyTorch, eager", "with_torch", chunks=(500, 1000, 2000)),
)
_OPENVINO: Final = Contestant("OpenVINO", "with_openvino", chunks=(500, 1000, 2000, 5000))
_COMPILED: Final = Contestant(
    "PyTorch, torch.compile", "with_torch", "compiled", (500, 1000, 2000), slow=True
)
_ALL: Final = (
    *_CHUNKED,
    _OPENVINO,
    _COMPILED,
    Contestant("NumPy", "with_numpy", chunks=(2000,)),
    Contestant("scikit-learn, predict_proba and log_loss", "with_sklearn"),
    Contestant("PyTorch, TensorDataset and DataLoader", "with_torch", "loader", (1000,)),
)
# Small chunks stay in cache: what convolutions are fastest with.
_SMALL: Final = (50, 100, 200, 500, 1000)
_IMAGES: Final = (
    Contestant(OURS, "with_streameval"),
    Contestant("ONNX Runtime", "with_onnxruntime", chunks=_SMALL),
    Contestant("OpenVINO", "with_openvino", chunks=_SMALL),
    Contestant("JAX, jit", "with_jax", chunks=(100, 500, 2000)),
    Contestant("PyTorch, eager, channels last", "with_torch", chunks=_SMALL),
    Contestant("PyTorch, torch.compile, channels last", "with_torch", "compiled", (100, 500), slow=True),
)
_MINIBATCH: Final = (
    Contestant(OURS, "with_streameval", "minibatches"),
    Contestant("streameval, one call a batch", "with_streameval", "minibatch"),
    Contestant("ONNX Runtime", "with_onnxruntime", "minibatches"),
    Contestant("JAX, jit", "with_jax", "minibatches"),
    Contestant("PyTorch, eager", "with_torch", "minibatches"),
    Contestant("NumPy", "with_numpy", "minibatches"),
)

RACES: Final[dict[str, Race]] = {
    "seed": Race("784-50-100-10 sigmoid, {rows:,} uint8 rows in memory", "seed", 60_000, _ALL, 60_000),
    "seed-one-thread": Race(
        "784-50-100-10 sigmoid, {rows:,} uint8 rows in memory, one thread each",
        "seed",
        60_000,
        tuple(one for one in _ALL if not one.slow),
        60_000,
        one_thread=True,
    ),
    "relu": Race("784-512-256-10 ReLU, {rows:,} uint8 rows in memory", "relu", 60_000, _CHUNKED, 60_000),
    "tanh": Race("784-(128 x 6)-10 tanh, {rows:,} uint8 rows in memory", "tanh", 60_000, _CHUNKED, 60_000),
    "floats": Race(
        "64-256-256-4 ReLU, {rows:,} float32 rows in memory", "floats", 200_000, _CHUNKED, 200_000
    ),
    "minibatch": Race(
        "one mini-batch of 100 random rows of {rows:,}, 784-50-100-10: draw, gather, forward, loss; streameval's "
        "with an interval",
        "seed",
        60_000,
        _MINIBATCH,
        100,
    ),
    "lenet": Race(
        "LeNet-5, tanh, average pooling, {rows:,} uint8 rows of 28 x 28", "lenet", 20_000, _IMAGES, 20_000
    ),
    "simpleconv": Race(
        "SimpleConvNet, {rows:,} uint8 rows of 28 x 28", "simpleconv", 20_000, _IMAGES, 20_000
    ),
    "pytorch-mnist": Race(
        "PyTorch's MNIST example, {rows:,} uint8 rows of 28 x 28", "pytorch-mnist", 4_000, _IMAGES, 4_000
    ),
    "deepconv": Race("DeepConvNet, {rows:,} uint8 rows of 28 x 28", "deepconv", 4_000, _IMAGES, 4_000),
    "resnet8": Race("ResNet-8, {rows:,} uint8 rows of 3 x 32 x 32", "resnet8", 4_000, _IMAGES, 4_000),
}
