"""What the audit of an order computes row by row: blocks in shuffled copies, hashes of windows. Knows losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from streameval.kernels.compiling import device, kernel
from streameval.kernels.permute import _below, _mix

GOLDEN = 0x9E3779B97F4A7C15  # the step of SplitMix64


@kernel(parallel=True)
def shuffled_blocks(gaps: Any, sizes: Any, keys: Any, work: Any, out: Any) -> None:
    """Write the summed squares of blocks' sums in shuffled copies of a file.

        out[lane, k, j] = sum over whole blocks b of sizes[j] rows of (sum of gaps in b)**2, after k + 1 shuffles

    gaps (n,) float64, deviations from their mean · sizes (s,) int64 · keys (lanes,) uint64, one stream of random
    numbers for each lane · work (lanes, n) float64 scratch · out (lanes, shuffles, s)

    A lane shuffles its copy again and again (Fisher & Yates): each order is as random as the first. Lanes do not
    meet, so that the thread count changes nothing.
    """
    n = gaps.shape[0]
    for lane in prange(keys.shape[0]):
        copy = work[lane]
        copy[:] = gaps
        state = keys[lane]
        for k in range(out.shape[1]):
            for i in range(n - 1, 0, -1):
                state += np.uint64(GOLDEN)
                j = np.int64(_below(_mix(state), np.uint64(i + 1)))
                held = copy[i]
                copy[i] = copy[j]
                copy[j] = held
            for which in range(sizes.shape[0]):
                out[lane, k, which] = _squares(copy, sizes[which])


@kernel()
def summed_squares(gaps: Any, sizes: Any, out: Any) -> None:
    """Write the same for the file as it lies: out (s,) float64."""
    for which in range(sizes.shape[0]):
        out[which] = _squares(gaps, sizes[which])


@kernel()
def window_keys(bits: Any, window: int, base: Any, out: Any) -> None:
    """Write a hash of every `window` consecutive losses: equal windows, equal hashes, wherever they lie.

    bits (n,) uint64, the losses' own bits · base: odd uint64 · out (n - window + 1,) uint64
    """
    power = np.uint64(1)
    total = np.uint64(0)
    for i in range(window):
        total = total * base + _mix(bits[i])
        if i > 0:
            power *= base
    out[0] = _mix(total)
    for i in range(1, out.shape[0]):
        total = (total - _mix(bits[i - 1]) * power) * base + _mix(bits[i + window - 1])
        out[i] = _mix(total)


@device
def _squares(gaps: Any, size: Any) -> Any:
    total = 0.0
    for block in range(gaps.shape[0] // size):
        part = 0.0
        for i in range(block * size, (block + 1) * size):
            part += gaps[i]
        total += part * part
    return total
