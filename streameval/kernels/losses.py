"""Softmax and cross-entropy of a tile of logits, in float64, one loss a row.

To add a loss: a function here, a twin in `tests/naive.py`. eps > 0 is -sum_k t_k log(y_k + eps); eps = 0 is
the exact log-softmax, from the logits, never log(0).
"""

from __future__ import annotations

from streameval.kernels.compiling import device
from streameval.kernels.elementary import exp_f64, log_f64
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import load_f32, load_f64, select, splat_f32, splat_f64, store, widen


@device
def cross_entropy_tile(
    logits, at, classes, labels, soft, eps, first, count, work, loss, predicted, probabilities
):
    """Write the loss (nats), the predicted class and, if wanted, the probabilities of `count` rows.

    logits float32 [class][row] from `at` on · labels (n,) int64 if soft (n, classes) float64 is empty ·
    work float64, 4 * TILE_ROWS · loss (n,) float64 · predicted (n,) int64 · probabilities (n, classes) or (0, 0)

    The largest logit is taken off first, so that every exponent is <= 0.
    """
    target, top, total = 0, TILE_ROWS, 2 * TILE_ROWS
    is_soft = soft.shape[0] > 0
    for r in range(0, TILE_ROWS, 16):
        if r < count:
            _softmax_sums(logits, at + r, classes, work, top + r, total + r, 3 * TILE_ROWS + r)
    for i in range(count):
        predicted[first + i] = int(work[3 * TILE_ROWS + i])
    if is_soft:
        for i in range(TILE_ROWS):
            work[3 * TILE_ROWS + i] = 0.0
        for k in range(classes):
            for i in range(count):
                work[target + i] = logits[at + k * TILE_ROWS + i]
            for r in range(0, count, 8):
                _negative_log(work, target + r, top + r, total + r, eps)
            for i in range(count):
                work[3 * TILE_ROWS + i] += soft[first + i, k] * work[target + i]
        for i in range(count):
            loss[first + i] = work[3 * TILE_ROWS + i]
    else:
        for i in range(count):
            work[target + i] = logits[at + labels[first + i] * TILE_ROWS + i]
        for r in range(0, count, 8):
            _negative_log(work, target + r, top + r, total + r, eps)
        for i in range(count):
            loss[first + i] = work[target + i]
    if probabilities.shape[0] > 0:
        for k in range(classes):
            for i in range(count):
                work[target + i] = logits[at + k * TILE_ROWS + i]
            for r in range(0, count, 8):
                share = exp_f64(load_f64(work, target + r) - load_f64(work, top + r)) / load_f64(
                    work, total + r
                )
                store(work, target + r, share)
            for i in range(count):
                probabilities[first + i, k] = work[target + i]


@device
def _softmax_sums(logits, at, classes, work, top, total, predicted):
    """The largest logit, sum_k exp(z_k - largest), and the first class that has it, for sixteen rows."""
    largest = load_f32(logits, at)
    best = splat_f32(0.0)
    for k in range(1, classes):
        z = load_f32(logits, at + k * TILE_ROWS)
        best = select(z > largest, float(k), best)
        largest = select(z > largest, z, largest)
    top_low, top_high = widen(largest)
    sum_low, sum_high = splat_f64(0.0), splat_f64(0.0)
    for k in range(classes):
        z_low, z_high = widen(load_f32(logits, at + k * TILE_ROWS))
        sum_low = sum_low + exp_f64(z_low - top_low)
        sum_high = sum_high + exp_f64(z_high - top_high)
    best_low, best_high = widen(best)
    store(work, top, top_low)
    store(work, top + 8, top_high)
    store(work, total, sum_low)
    store(work, total + 8, sum_high)
    store(work, predicted, best_low)
    store(work, predicted + 8, best_high)


@device
def _negative_log(work, target, top, total, eps):
    """Replace eight logits by -log(softmax + eps), or by -log(softmax) if eps is 0."""
    below = load_f64(work, top) - load_f64(work, target)
    if eps > 0.0:
        share = exp_f64(0.0 - below) / load_f64(work, total)
        store(work, target, 0.0 - log_f64(share + eps))
    else:
        store(work, target, log_f64(load_f64(work, total)) + below)
