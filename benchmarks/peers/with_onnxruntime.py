"""ONNX Runtime: the whole chain as one graph, chunks of NumPy arrays in, sums of losses out."""

from __future__ import annotations

from typing import Any

import onnxruntime

from benchmarks.data import Task
from benchmarks.peers.batches import batches_of, parts_of
from benchmarks.peers.graph import build
from benchmarks.timing import Ready

TOLERANCE = 1e-5


def whole(task: Task, chunk: int | None) -> Ready:
    """One `run` for each chunk."""
    session = _session(task, "sum")
    parts = parts_of(task, chunk)

    def run() -> float:
        return sum(float(session.run(None, part)[0]) for part in parts) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)


def minibatches(task: Task, _: int | None) -> Ready:
    """Rows gathered by NumPy, one `run` for each batch."""
    session = _session(task, "mean")
    return batches_of(
        task, lambda rows: session.run(None, {"x": task.x[rows], "t": task.t[rows]})[0], 0.0, TOLERANCE
    )


def _session(task: Task, reduction: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    graph = build(task.layers, task.x.dtype, task.scale, reduction, task.shape)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
