"""Moments of many samples at once: one look for the mean, one for what is left around it."""

from __future__ import annotations

import numpy as np

from streameval.kernels.compiling import kernel

# The columns of `out`.
MEAN, SD, SKEWNESS = range(3)


@kernel()
def sample_moments(values, out):
    """Write mean, standard deviation (ddof 1) and skewness of each row.

        out[i] = mean, sqrt(sum_j (x_ij - mean)**2 / (n - 1)), third central moment / second**1.5

    values (trials, n) float64, n >= 1 · out (trials, 3) float64. One row alone has an infinite standard deviation:
    it says nothing of the spread. Equal values have skewness 0.
    """
    n = values.shape[1]
    for i in range(values.shape[0]):
        row = values[i]
        total, largest = 0.0, 0.0
        for x in row:
            total += x
            largest = max(largest, abs(x))
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
        cube = second**1.5
        flat = cube == 0.0 or second <= (1e-14 * largest) ** 2
        out[i, MEAN] = mean
        out[i, SD] = np.sqrt(squares / (n - 1)) if n > 1 else np.inf
        out[i, SKEWNESS] = 0.0 if flat else cubes / n / cube
