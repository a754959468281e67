"""What the kernels compute of cross-entropy, a tile of rows at a time: one function without label smoothing, one with.

Knows the softmax of a tile. Compiled when it is first used: importing this loads no Numba.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


@functools.cache
def _negative_logs() -> Any:
    """WORK = -log(softmax + eps) of the outputs in WORK, or -log(softmax), exact from the logits, if eps is 0."""
    from streameval.kernels.compiling import device
    from streameval.kernels.elementary import exp_f64, log_f64
    from streameval.kernels.lanes import load_f64, store
    from streameval.kernels.softmax import TOP, TOTAL, WORK

    @device
    def negative_logs(tile: Any, doubles: Any, eps: Any) -> None:
        for r in range(0, tile.count, 8):
            below = load_f64(doubles, TOP + r) - load_f64(doubles, WORK + r)
            if eps > 0.0:
                share = exp_f64(0.0 - below) / load_f64(doubles, TOTAL + r)
                store(doubles, WORK + r, 0.0 - log_f64(share + eps))
            else:
                store(doubles, WORK + r, log_f64(load_f64(doubles, TOTAL + r)) + below)

    return negative_logs


@functools.cache
def plain() -> Callable[..., None]:
    """-sum_k t_k log(softmax_k + eps), or -sum_k t_k log(softmax_k), exact from the logits, if eps is 0."""
    return _weighted(_negative_logs())


@functools.cache
def clipped() -> Callable[..., None]:
    """-sum_k t_k log(softmax_k clipped to c and 1 - c), c the parameter."""
    from streameval.kernels.compiling import device
    from streameval.kernels.elementary import exp_f64, log_f64
    from streameval.kernels.lanes import load_f64, select, store
    from streameval.kernels.softmax import TOP, TOTAL, WORK

    @device
    def negative_logs(tile: Any, doubles: Any, clip: Any) -> None:
        for r in range(0, tile.count, 8):
            below = load_f64(doubles, WORK + r) - load_f64(doubles, TOP + r)
            share = exp_f64(below) / load_f64(doubles, TOTAL + r)
            share = select(share < clip, clip, share)
            share = select(share > 1.0 - clip, 1.0 - clip, share)
            store(doubles, WORK + r, 0.0 - log_f64(share))

    return _weighted(negative_logs)


def _weighted(negative_logs: Any) -> Callable[..., None]:
    """-sum_k t_k log(...) of a row, of labels the one term."""
    from streameval.kernels.compiling import device
    from streameval.kernels.host import TILE_ROWS
    from streameval.kernels.softmax import (
        BEST,
        WORK,
        gather,
        softmax_sums,
        write_predicted,
        write_probabilities,
    )

    @device
    def cross_entropy(outputs: Any, targets: Any, tile: Any, doubles: Any, results: Any) -> None:
        eps, first = targets.parameters[0], tile.first
        softmax_sums(outputs, tile.count, doubles)
        write_predicted(tile, doubles, results.predicted)
        if targets.rows.shape[0] > 0:
            total = BEST  # the predicted classes are written
            for i in range(tile.count):
                doubles[total + i] = 0.0
            for k in range(outputs.count):
                gather(outputs, k, tile, doubles)
                negative_logs(tile, doubles, eps)
                for i in range(tile.count):
                    doubles[total + i] += targets.rows[first + i, k] * doubles[WORK + i]
            for i in range(tile.count):
                results.losses[first + i] = doubles[total + i]
        else:
            for i in range(tile.count):
                k = targets.labels[first + i]
                doubles[WORK + i] = outputs.values[outputs.at + k * TILE_ROWS + i]
            negative_logs(tile, doubles, eps)
            for i in range(tile.count):
                results.losses[first + i] = doubles[WORK + i]
        write_probabilities(outputs, tile, doubles, results.probabilities)

    made: Callable[..., None] = cross_entropy
    return made


@functools.cache
def smoothed() -> Callable[..., None]:
    """The same of targets (1 - s) t_k + s / K: every class has a share, so that all are added up, labels too."""
    from streameval.kernels.compiling import device
    from streameval.kernels.softmax import (
        BEST,
        WORK,
        gather,
        softmax_sums,
        write_predicted,
        write_probabilities,
    )

    negative_logs = _negative_logs()

    @device
    def smoothed_cross_entropy(outputs: Any, targets: Any, tile: Any, doubles: Any, results: Any) -> None:
        eps, kept, first = targets.parameters[0], 1.0 - targets.parameters[1], tile.first
        share = targets.parameters[1] / outputs.count
        softmax_sums(outputs, tile.count, doubles)
        write_predicted(tile, doubles, results.predicted)
        total = BEST  # the predicted classes are written
        for i in range(tile.count):
            doubles[total + i] = 0.0
        for k in range(outputs.count):
            gather(outputs, k, tile, doubles)
            negative_logs(tile, doubles, eps)
            for i in range(tile.count):
                if targets.rows.shape[0] > 0:
                    weight = targets.rows[first + i, k]
                else:
                    weight = 1.0 if targets.labels[first + i] == k else 0.0
                doubles[total + i] += (kept * weight + share) * doubles[WORK + i]
        for i in range(tile.count):
            results.losses[first + i] = doubles[total + i]
        write_probabilities(outputs, tile, doubles, results.probabilities)

    made: Callable[..., None] = smoothed_cross_entropy
    return made
