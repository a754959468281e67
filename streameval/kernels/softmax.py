"""Softmax of a tile of outputs, in float64: building blocks of losses over classes, and what `predict` gives.

The largest logit is taken off first, so that every exponent is <= 0.
"""

from __future__ import annotations

from streameval.kernels.compiling import device
from streameval.kernels.elementary import exp_f64
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import load_f32, load_f64, select, splat_f32, splat_f64, store, widen

# Where the values of a tile's rows lie in a thread's float64: one for the loss to work with, the largest logit,
# the sum of exponentials, and the first class that has the largest logit.
WORK, TOP, TOTAL, BEST = (k * TILE_ROWS for k in range(4))


@device
def softmax_sums(outputs, count, doubles):
    """Write TOP, TOTAL = sum_k exp(z_k - top) and BEST of `count` rows, and maybe of some after them."""
    for r in range(0, count, 16):
        _sums_of_sixteen(outputs.values, outputs.at + r, outputs.count, doubles, r)


@device
def _sums_of_sixteen(logits, at, classes, doubles, r):
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
    store(doubles, TOP + r, top_low)
    store(doubles, TOP + r + 8, top_high)
    store(doubles, TOTAL + r, sum_low)
    store(doubles, TOTAL + r + 8, sum_high)
    store(doubles, BEST + r, best_low)
    store(doubles, BEST + r + 8, best_high)


@device
def write_predicted(tile, doubles, predicted):
    """The first class with the largest logit, by `softmax_sums`."""
    for i in range(tile.count):
        predicted[tile.first + i] = int(doubles[BEST + i])


@device
def write_probabilities(outputs, tile, doubles, probabilities):
    """exp(z_k - top) / total for every class; WORK is overwritten. Nothing where `probabilities` has no rows."""
    if probabilities.shape[0] == 0:
        return
    for k in range(outputs.count):
        gather(outputs, k, tile, doubles)
        for r in range(0, tile.count, 8):
            below = load_f64(doubles, WORK + r) - load_f64(doubles, TOP + r)
            store(doubles, WORK + r, exp_f64(below) / load_f64(doubles, TOTAL + r))
        for i in range(tile.count):
            probabilities[tile.first + i, k] = doubles[WORK + i]


@device
def gather(outputs, k, tile, doubles):
    """WORK = output k of each row."""
    for i in range(tile.count):
        doubles[WORK + i] = outputs.values[outputs.at + k * TILE_ROWS + i]
