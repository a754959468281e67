"""Moments of many samples at once: one look for the mean, one for what is left around it."""

from __future__ import annotations

import numpy as np

from streameval.kernels.compiling import device, kernel

# The columns of `out`.
MEAN, SD, SKEWNESS, LEAST, LARGEST = range(5)
COLUMNS = 5


@kernel()
def sample_moments(values, out):
    """Write mean, standard deviation (ddof 1) and skewness of each row, its smallest value and its largest.

        out[i] = mean, sqrt(sum_j (x_ij - mean)**2 / (n - 1)), third central moment / second**1.5

    values (trials, n) float64, n >= 1 · out (trials, COLUMNS) float64. One row alone has an infinite standard
    deviation: it says nothing of the spread. Equal values have skewness 0.
    """
    for i in range(values.shape[0]):
        moments_of(values[i], out[i])


@device
def moments_of(row, out):
    """The same of one row (n,) to out (COLUMNS,)."""
    n = row.shape[0]
    total, least, largest = 0.0, row[0], row[0]
    for x in row:
        total += x
        least = min(least, x)
        largest = max(largest, x)
    mean = total / n
    # A second look at the rest gives back the digits that summing many losses loses.
    rest = 0.0
    for x in row:
        rest += x - mean
    mean += rest / n
    squares, cubes = 0.0, 0.0
    for x in row:
        gap = x - mean
        squares += gap * gap
        cubes += gap * gap * gap
    second = squares / n
    # Rounding leaves equal values a spread of about 1e-16 of their size: that is no spread.
    cube = second * np.sqrt(second)
    flat = cube == 0.0 or second <= (1e-14 * max(-least, largest)) ** 2
    out[MEAN] = mean
    out[SD] = np.sqrt(squares / (n - 1)) if n > 1 else np.inf
    out[SKEWNESS] = 0.0 if flat else cubes / n / cube
    out[LEAST], out[LARGEST] = least, largest
