"""Moments of many samples at once: one look for the mean, one for what is left around it."""

from __future__ import annotations

from streameval.kernels.compiling import kernel

# The columns of `out`.
MEAN, SQUARES, CUBES, LARGEST = range(4)


@kernel()
def sample_moments(values, out):
    """Write mean, sum of squared and of cubed deviations, and the largest size of each row.

        out[i] = mean, sum_j (x_ij - mean)**2, sum_j (x_ij - mean)**3, max_j |x_ij|

    values (trials, n) float64, n >= 1 · out (trials, 4) float64
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
        out[i, MEAN], out[i, SQUARES], out[i, CUBES], out[i, LARGEST] = mean, squares, cubes, largest
