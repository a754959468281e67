"""OpenVINO: the same graph as ONNX Runtime's, compiled for throughput, float32, chunks of NumPy arrays in."""

from __future__ import annotations

import openvino

from benchmarks.data import Task
from benchmarks.peers.batches import parts_of
from benchmarks.peers.graph import build
from benchmarks.timing import Ready

TOLERANCE = 1e-5


def whole(task: Task, chunk: int | None) -> Ready:
    """One call of the compiled model for each chunk."""
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": task.threads,
        "INFERENCE_PRECISION_HINT": "f32",  # where the CPU has bfloat16 it would be used otherwise
        "PERFORMANCE_HINT": "LATENCY",  # all threads on one call
    }
    graph = build(task.layers, task.x.dtype, task.scale, "sum", task.shape)
    compiled = core.compile_model(core.read_model(model=graph, weights=b""), "CPU", settings)
    request, parts = compiled.create_infer_request(), parts_of(task, chunk)

    def run() -> float:
        return sum(float(request.infer(part)[0]) for part in parts) / task.rows

    return Ready(run, float(task.exact[0.0].mean()), TOLERANCE)
