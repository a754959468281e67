"""Stretches of rows that come twice: joined files that share rows. Knows losses in file order, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import log
from streameval.statistics.looks import Look
from streameval.statistics.population import Population
from streameval.statistics.seeds import spawn_stream

PIECE_ROWS = 100_000
SHORTEST, LONGEST = 4, 64  # rows of a window
ANCHORS = 1 << 15  # windows kept, about: of larger files those whose hash says so, wherever they lie
VALUES = 1 << 16  # classes into which losses are counted

Keys = NDArray[np.uint64]


def looks(losses: Any, whole: Population, allowed: float) -> list[Look]:
    """Return one look: the share of windows of some rows that come again elsewhere, loss by loss.

    A window is so long that a random order repeats one at all with a chance of at most `allowed`: two rows have the
    same loss with chance q at most, two windows of w rows with q^w, and of N rows there are less than N^2 / 2 pairs.
    None where losses are so often equal that 64 rows do not suffice, or where there are too few rows.
    """
    equal = _equal(losses, whole)
    pairs = 0.5 * whole.rows**2
    window = max(SHORTEST, math.ceil(log(pairs / allowed) / -log(equal))) if equal < 1.0 else LONGEST + 1
    if window > LONGEST or whole.rows < 4 * window:
        return []
    anchors, places = _anchors(losses, whole, window)
    again = _repeated(anchors, places, window)
    share = float(again.mean()) if len(again) else 0.0
    # Either nothing comes again, or what does is no chance: there is no normal law between.
    chance = log(allowed) if share > 0.0 else 0.0
    return [Look("repeat", window, None, share, 1, lambda _: chance)]


def _equal(losses: Any, whole: Population) -> float:
    """Return a bound of the chance that two rows have the same loss."""
    counts = np.zeros(VALUES)
    for start in range(0, whole.rows, PIECE_ROWS):
        bits = _bits(losses[start : start + PIECE_ROWS])
        counts += np.bincount(
            (bits * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(48)).astype(np.int64), minlength=VALUES
        )
    return float(np.sum((counts / whole.rows) ** 2))


def _anchors(losses: Any, whole: Population, window: int) -> tuple[Keys, NDArray[np.int64]]:
    """Return hashes and first rows of the windows that are kept: equal windows are kept or left out together."""
    from streameval.kernels.ordering import window_keys

    # The least power of two that is no less than rows / ANCHORS.
    every = np.uint64((1 << (max(1, math.ceil(whole.rows / ANCHORS)) - 1).bit_length()) - 1)
    base = np.uint64(int(spawn_stream(0, window).generate_state(1, np.uint64)[0]) | 1)
    keys, places = [], []
    for start in range(0, whole.rows - window + 1, PIECE_ROWS):
        bits = _bits(losses[start : start + PIECE_ROWS + window - 1])
        out = np.empty(len(bits) - window + 1, np.uint64)
        window_keys(bits, window, base, out)
        kept = np.flatnonzero(out & every == 0)
        keys.append(out[kept])
        places.append(kept + start)
    return np.concatenate(keys), np.concatenate(places)


def _repeated(keys: Keys, places: NDArray[np.int64], window: int) -> NDArray[np.bool_]:
    """Return which windows have an equal one that does not overlap, in the order of their keys."""
    order = np.lexsort((places, keys))
    keys, places = keys[order], places[order]
    pair = (keys[1:] == keys[:-1]) & (places[1:] - places[:-1] >= window)
    again = np.zeros(len(keys), np.bool_)
    again[1:] |= pair
    again[:-1] |= pair
    return again


def _bits(losses: Any) -> Keys:
    # Adding 0.0 makes -0.0 and 0.0 the same bits.
    return (np.asarray(losses, np.float64) + 0.0).view(np.uint64)
