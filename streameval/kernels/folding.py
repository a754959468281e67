"""Sums of losses as integers: any order, any cut, any number of threads gives the same ones.

Knows limbs and counters. What they mean, and how they merge, is `evaluation.state`'s to know.
"""

from __future__ import annotations

import numpy as np

from streameval.kernels.compiling import device, kernel

# A loss is counted in units of 2**-40 nats; from 2**22 nats on it does not fit and counts as not finite.
UNITS = 2.0**40
TOO_LARGE = 2.0**22
# Sums of products of 21-bit limbs stay below 2**63 for so many rows.
MOST_ROWS = 2**19

# Rows that are folded at a time, by a loop without branches if all their losses are finite.
_PART = 256

# The columns of `sums`: rows, the limbs of the sum and of the sum of squares, rows left out and the first of them.
ROWS, LOW, HIGH, AA, AB, AC, BC, CC, LEFT_OUT, FIRST_LEFT_OUT = range(10)


@kernel()
def fold_losses(loss, rows, first, sums, extremes, worst_loss, worst_row):
    """Add rows to integer sums, and keep the extremes and the rows with the largest losses.

    loss (n,) float64, nats, n <= MOST_ROWS · rows (n,) int64, or (0,) where they are `first`, first + 1, ... · sums
    (10,) int64 · extremes (2,) float64, smallest and largest · worst_loss (k,) float64 and worst_row (k,) int64, from
    the largest on; equal losses by row number

    q = rint(loss * 2**40) = a + b 2**21 + c 2**42; q**2 = a a + 2 a b 2**21 + (2 a c + b b) 2**42 + ...
    """
    last = worst_loss.shape[0] - 1
    for start in range(0, loss.shape[0], _PART):
        some = loss[start : start + _PART]
        finite, ordinary = 0, 0
        least = worst_loss[last] if last >= 0 else np.inf
        for i in range(some.shape[0]):
            finite += abs(some[i]) < TOO_LARGE
            ordinary += some[i] < least
        if finite == some.shape[0]:
            _fold(some, sums, extremes)
        else:
            for i in range(some.shape[0]):
                if abs(some[i]) < TOO_LARGE:
                    _fold(some[i : i + 1], sums, extremes)
                    continue
                if sums[LEFT_OUT] == 0:
                    sums[FIRST_LEFT_OUT] = _number(rows, first, start + i)
                sums[LEFT_OUT] += 1
        if last < 0 or ordinary == some.shape[0]:
            continue
        for i in range(some.shape[0]):
            if abs(some[i]) < TOO_LARGE and not some[i] < worst_loss[last]:
                _insert(some[i] + 0.0, _number(rows, first, start + i), worst_loss, worst_row)


@device
def _number(rows, first, place):
    """The number of the row at a place."""
    return rows[place] if rows.shape[0] else first + place


@device
def _fold(loss, sums, extremes):
    """Add rows whose losses are finite: a loop without branches, on numbers that nothing else sees, is vectorised."""
    mask = (1 << 21) - 1
    low = high = aa = ab = ac = bc = cc = np.int64(0)
    bits, ends = loss.view(np.int64), extremes.view(np.int64)
    smallest, largest = _ordered(ends[0]), _ordered(ends[1])
    for i in range(loss.shape[0]):
        q = np.int64(np.rint(loss[i] * UNITS))
        a, b, c = q & mask, (q >> 21) & mask, q >> 42
        low += q & 0x7FFFFFFF
        high += q >> 31
        aa += a * a
        ab += a * b
        ac += 2 * a * c + b * b
        bc += b * c
        cc += c * c
        number = _ordered(bits[i])
        smallest, largest = min(smallest, number), max(largest, number)
    sums[ROWS] += loss.shape[0]
    sums[LOW] += low
    sums[HIGH] += high
    sums[AA] += aa
    sums[AB] += ab
    sums[AC] += ac
    sums[BC] += bc
    sums[CC] += cc
    ends[0], ends[1] = _ordered(smallest), _ordered(largest)
    # -0.0 becomes 0.0: the smaller of the two would depend on the order.
    extremes[0] += 0.0
    extremes[1] += 0.0


@device
def _ordered(bits):
    """The bits of a float64 as an integer that is larger for larger numbers; of that integer, the bits again."""
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


@kernel()
def fold_classes(loss, target, predicted, classes, confusion, outside):
    """Sum up rows by true class; a row that `fold_losses` leaves out is left out here too.

    loss (n,) float64 · target, predicted (n,) int64, n <= MOST_ROWS · classes (c, 4) int64, zeros: rows, predicted
    right, low and high half of the sum of losses · confusion (c, c) int64, zeros: true x predicted; or (0, 0) · outside
    (1,) int64, zero: rows of a class that is none of 0..c - 1, which count nowhere
    """
    # Unsigned: a negative one is larger than any class, and no number is asked whether it counts from the end.
    known = np.uint64(classes.shape[0])
    for i in range(loss.shape[0]):
        if not abs(loss[i]) < TOO_LARGE:
            continue
        true, guess = np.uint64(target[i]), np.uint64(predicted[i])
        if true >= known or guess >= known:
            outside[0] += 1
            continue
        _add(loss[i], classes[true])
        if confusion.shape[0]:
            confusion[true, guess] += 1
        else:
            classes[true, 0] += 1
            classes[true, 1] += np.int64(true == guess)
    for k in range(confusion.shape[0]):
        classes[k, 0] = confusion[k].sum()
        classes[k, 1] = confusion[k, k]


@device
def _add(loss, row):
    """Add a loss to the two halves of a class's sum."""
    q = np.int64(np.rint(loss * UNITS))
    row[2] += q & 0x7FFFFFFF
    row[3] += q >> 31


@device
def _insert(value, row, worst_loss, worst_row):
    """Put a row in its place among those with the largest losses; the last of them goes."""
    j = worst_loss.shape[0] - 1
    if value == worst_loss[j] and row > worst_row[j]:
        return
    while j > 0 and (worst_loss[j - 1] < value or (worst_loss[j - 1] == value and worst_row[j - 1] > row)):
        worst_loss[j] = worst_loss[j - 1]
        worst_row[j] = worst_row[j - 1]
        j -= 1
    worst_loss[j] = value
    worst_row[j] = row
