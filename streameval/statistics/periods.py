"""Swings of any period: the periodogram of the losses. Knows losses in file order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import cosine, dot, hypot, log
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

    A fast transform, whose last digits depend on the machine, says where the largest is; how large, a plain sum says.
    """
    largest, where, tests = 0.0, (0, 1, 1), 0
    for start in range(0, whole.rows, PIECE_ROWS):
        rows = min(PIECE_ROWS, whole.rows - start)
        if rows < FEWEST_ROWS:
            continue
        swings = np.arange(1, (rows + 1) // 2)
        swings = swings[rows // np.gcd(swings, rows) >= STRIDES.stop]
        amplitudes = np.fft.rfft(_gaps(losses, start, rows, whole))[swings]
        lengths = hypot(amplitudes.real, amplitudes.imag)
        tests += len(swings)
        if len(swings):
            k = int(np.argmax(lengths))
            if _z(lengths[k], rows, whole) > largest:
                largest, where = _z(lengths[k], rows, whole), (start, rows, int(swings[k]))
    if tests == 0:
        return []
    start, rows, swings_in = where
    length = _length(_gaps(losses, start, rows, whole), swings_in) if largest else 0.0
    z = _z(length, rows, whole)
    swing = 2.0 * length / rows / abs(whole.mean) if whole.mean else 0.0
    chance = partial(_log_chance, rows, length)
    return [Look("period", round(rows / swings_in), z, swing, tests, chance, rayleigh=True)]


def _gaps(losses: Any, start: int, rows: int, whole: Population) -> NDArray[np.float64]:
    """The losses of a piece, less the mean."""
    gaps: NDArray[np.float64] = np.asarray(losses[start : start + rows], np.float64) - whole.mean
    return gaps


def _length(gaps: NDArray[np.float64], swings: int) -> float:
    """The length of one amplitude, in the same bits on any machine."""
    turns = (np.arange(len(gaps)) * swings % len(gaps)).astype(np.float64)
    phases = turns * (2.0 * math.pi / len(gaps))
    return hypot(dot(gaps, cosine(phases)), dot(gaps, cosine(phases - 0.5 * math.pi)))


def _z(length: float, rows: int, whole: Population) -> float:
    return float(length / (whole.sd * math.sqrt(0.5 * rows)))


def _log_chance(rows: int, length: float, tails: Tails) -> float:
    """An amplitude of some length is nearly as long along one of 16 directions; the phases of rows are equidistant."""
    along = length * cosine(math.pi / DIRECTIONS)
    phases = cosine(np.linspace(0.0, math.pi, NODES + 1))
    return min(0.0, log(DIRECTIONS) + tails.weighted(phases, rows, along))
