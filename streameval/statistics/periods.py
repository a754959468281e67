"""Swings of any period: the periodogram of the losses. Knows losses in file order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from streameval.elementary import cosine, hypot, log
from streameval.statistics.looks import Look
from streameval.statistics.population import Population
from streameval.statistics.residues import STRIDES
from streameval.statistics.tails import NODES, Tails

PIECE_ROWS = 1 << 18  # a transform is of at most so many rows: a few MB
FEWEST_ROWS = 2 * (STRIDES.stop - 1)
DIRECTIONS = 16  # of a complex amplitude: along one of them it is at least 0.98 of its length


def looks(losses: Any, whole: Population) -> list[Look]:
    """Return one look: the largest amplitude at any frequency of a whole number of swings, in any piece of the file.

        z = |sum_i (loss_i - mean) exp(2 pi sqrt(-1) k i / n)| / (S sqrt(n / 2))

    for 0 < k < n / 2 and pieces of n rows; a random order of normal losses passes z with chance exp(-z^2 / 2).
    A period that is a ratio with numerator up to 64 is left to the strides, which see all its harmonics.
    """
    best, tests = (0.0, 1, 1, 0.0), 0
    for start in range(0, whole.rows, PIECE_ROWS):
        rows = min(PIECE_ROWS, whole.rows - start)
        if rows < FEWEST_ROWS:
            continue
        gaps = np.asarray(losses[start : start + rows], np.float64) - whole.mean
        swings = np.arange(1, (rows + 1) // 2)
        swings = swings[rows // np.gcd(swings, rows) >= STRIDES.stop]
        amplitudes = np.fft.rfft(gaps)[swings]
        lengths = hypot(amplitudes.real, amplitudes.imag)
        tests += len(swings)
        if len(swings):
            k = int(np.argmax(lengths))
            best = max(best, (_z(lengths[k], rows, whole), rows, int(swings[k]), float(lengths[k])))
    if tests == 0:
        return []
    z, rows, swings_in, length = best
    swing = 2.0 * length / rows / abs(whole.mean) if whole.mean else 0.0
    chance = partial(_log_chance, rows, length)
    return [Look("period", round(rows / swings_in), z, swing, tests, chance, rayleigh=True)]


def _z(length: float, rows: int, whole: Population) -> float:
    return float(length / (whole.sd * math.sqrt(0.5 * rows)))


def _log_chance(rows: int, length: float, tails: Tails) -> float:
    """An amplitude of some length is nearly as long along one of 16 directions; the phases of rows are equidistant."""
    along = length * cosine(math.pi / DIRECTIONS)
    phases = cosine(np.linspace(0.0, math.pi, NODES + 1))
    return min(0.0, log(DIRECTIONS) + tails.weighted(phases, rows, along))
