"""The keyed permutation of [0, N), one position at a time. Knows integers; nothing of rows or losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from streameval.kernels.compiling import device, kernel


@kernel(parallel=True)
def permuted_positions(first: int, keys: Any, left: int, right: int, population: int, out: Any) -> None:
    """Write where the permutation sends the positions first, first + 1, ...

        out[i] = P(first + i),  P a bijection of [0, population)

    keys (rounds,) uint64 · left * right >= population, each below 2**32 · out (n,) int64

    A position is the pair (column, row) with position = column * right + row. Every round
    adds a keyed hash of one part to the other, modulo its size: a Feistel network on a rectangle. Results
    outside the population are sent round again ("cycle walking"); the rectangle is larger by less than
    sqrt(population), so almost none are. Positions never meet: the thread count cannot change the answer.
    """
    for i in prange(out.shape[0]):
        out[i] = _walk(np.uint64(first + i), keys, np.uint64(left), np.uint64(right), np.uint64(population))


@kernel()
def few_permuted_positions(first: int, keys: Any, left: int, right: int, population: int, out: Any) -> None:
    """Write the same as `permuted_positions` on one thread: for few rows, waking the others takes longer."""
    for i in range(out.shape[0]):
        out[i] = _walk(np.uint64(first + i), keys, np.uint64(left), np.uint64(right), np.uint64(population))


@kernel(parallel=True)
def permuted_trials(keys: Any, left: int, right: int, population: int, out: Any) -> None:
    """Write the first positions of many permutations, one for each row of keys.

    keys (trials, rounds) uint64 · out (trials, n) int64
    """
    for trial in prange(out.shape[0]):
        for i in range(out.shape[1]):
            out[trial, i] = _walk(
                np.uint64(i), keys[trial], np.uint64(left), np.uint64(right), np.uint64(population)
            )


@device
def _walk(position: Any, keys: Any, left: Any, right: Any, population: Any) -> Any:
    while True:
        position = _rounds(position, keys, left, right)
        if position < population:
            return np.int64(position)


@device
def _rounds(position: Any, keys: Any, left: Any, right: Any) -> Any:
    column = position // right
    row = position - column * right
    for i in range(0, keys.shape[0], 2):
        column += _below(_mix(row ^ keys[i]), left)
        if column >= left:
            column -= left
        row += _below(_mix(column ^ keys[i + 1]), right)
        if row >= right:
            row -= right
    return column * right + row


@device
def _mix(z: Any) -> Any:
    """Return the finalizer of SplitMix64 (Steele, Lea & Flood 2014), a bijection of 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@device
def _below(z: Any, size: Any) -> Any:
    """Return z's high half scaled to [0, size): bias below size / 2**32, and no division."""
    return ((z >> np.uint64(32)) * size) >> np.uint64(32)
