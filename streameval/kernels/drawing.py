"""A mini-batch from a seed to its summary, around the forward pass: drawn, gathered, its moments.

Rows are drawn as NumPy draws them, without NumPy's generator: making one takes as long as the losses of 20 rows.

The numbers are those of `Generator(PCG64(seed)).integers(0, population, n)`. NEP 19 fixes the streams of SeedSequence
and PCG64; how `integers` cuts them into numbers is compared with the NumPy that is there by a test.

Sources: M. E. O'Neill, PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
Generation (2014), XSL RR 128/64; D. Lemire, Fast Random Integer Generation in an Interval (2019).
"""

from __future__ import annotations

import numpy as np

from streameval.kernels.compiling import device, kernel
from streameval.kernels.moments import COLUMNS, MEAN, moments_of

# Larger populations take 64 bits a number: those are left to NumPy.
LARGEST_POPULATION = 2**32 - 1

_u64 = np.uint64
_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIER_HIGH, _MULTIPLIER_LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)


# A mini-batch to draw, uint64: the seed, the rows there are and the rows of each of their batches, numbers in a row;
# where labels lie, their bytes and those of one, whether they have a sign, how many classes; and words to work in.
SEED_LOW, SEED_HIGH, POPULATION, BATCH_ROWS, FEATURES = range(5)
LABELS, LABEL_BYTES, LABEL_WIDTH, SIGNED, CLASSES, WORK = range(5, 11)
SPEC = WORK + 8
# What comes of it, float64, after its moments: rows predicted right; 1 if all labels are classes and all losses finite.
RIGHT, USABLE = COLUMNS, COLUMNS + 1
SUMMARY = COLUMNS + 2


@kernel()
def draw_with_replacement(spec, out):
    """Write rows of [0, POPULATION), drawn with replacement by the seed of `spec`, 2 to LARGEST_POPULATION of them.

    spec (SPEC,) uint64 · out (n,) int64
    """
    draw_rows(spec, out)


@device
def gather(spec, bases, stored, rows, offsets, labels):
    """Draw the rows of a mini-batch, and write where each begins and its label; False if a label is no class.

    bases (2, batches) int64: what is added to a row's number times the numbers of a row, and to find its label, in
    each batch · stored: the bytes of all labels · rows, offsets, labels (n,) int64
    """
    draw_rows(spec, rows)
    features, width = np.int64(spec[FEATURES]), np.int64(spec[LABEL_WIDTH])
    unused = _u64(64 - 8 * width)
    for i in range(rows.shape[0]):
        batch = rows[i] // np.int64(spec[BATCH_ROWS])
        offsets[i] = rows[i] * features + bases[0, batch]
        at = (rows[i] + bases[1, batch]) * width
        label = _u64(0)
        for k in range(width):
            label |= _u64(stored[at + k]) << _u64(8 * k)
        if spec[SIGNED]:
            label = _u64((np.int64(label) << np.int64(unused)) >> np.int64(unused))
        if label >= spec[CLASSES]:
            return False
        labels[i] = np.int64(label)
    return True


@device
def summarise(losses, labels, predicted, summary):
    """Write the moments of a mini-batch's losses, and how many of its rows are predicted right."""
    moments_of(losses, summary)
    right = 0
    for i in range(labels.shape[0]):
        right += labels[i] == predicted[i]
    summary[RIGHT], summary[USABLE] = right, np.isfinite(summary[MEAN])


@device
def draw_rows(spec, out):
    """See `draw_with_replacement`."""
    population = spec[POPULATION]
    pool, words = spec[WORK : WORK + 4], spec[WORK + 4 : WORK + 8]
    _fill_pool(pool, spec[SEED_LOW], spec[SEED_HIGH])
    _fill_words(words, pool)
    # The state before the first number: 0, one step, the seed added, one more step.
    step_high, step_low = (words[2] << _u64(1)) | (words[3] >> _u64(63)), (words[3] << _u64(1)) | _u64(1)
    state_high, state_low = _sum(step_high, step_low, words[0], words[1])
    state_high, state_low = _step(state_high, state_low, step_high, step_low)
    threshold = (_LOW + _u64(1) - population) % population
    kept, number = False, _u64(0)
    for i in range(out.shape[0]):
        while True:
            # A number of 64 bits is two of 32, the lower one first.
            if kept:
                word, kept = number >> _u64(32), False
            else:
                state_high, state_low = _step(state_high, state_low, step_high, step_low)
                number, kept = _output(state_high, state_low), True
                word = number & _LOW
            product = word * population
            if (product & _LOW) >= threshold:
                break
        out[i] = np.int64(product >> _u64(32))


@device
def _fill_pool(pool, low, high):
    """SeedSequence's pool: the seed's four words of 32 bits, each mixed with every other."""
    constant = _u64(0x43B0D7E5)
    for i in range(4):
        word = ((low if i < 2 else high) >> _u64(32 * (i % 2))) & _LOW
        pool[i], constant = _hashed(word, constant, _u64(0x931E8875))
    for source in range(4):
        for target in range(4):
            if source != target:
                other, constant = _hashed(pool[source], constant, _u64(0x931E8875))
                mixed = (_u64(0xCA01F9DD) * pool[target] - _u64(0x4973F715) * other) & _LOW
                pool[target] = mixed ^ (mixed >> _u64(16))


@device
def _fill_words(words, pool):
    """`SeedSequence.generate_state(4, uint64)`: PCG64's state and increment, the high halves first."""
    constant = _u64(0x8B51F9DD)
    for i in range(4):
        first, constant = _hashed(pool[(2 * i) % 4], constant, _u64(0x58F38DED))
        second, constant = _hashed(pool[(2 * i + 1) % 4], constant, _u64(0x58F38DED))
        words[i] = first | (second << _u64(32))


@device
def _hashed(word, constant, factor):
    """A word of 32 bits, hashed, and the constant for the next one."""
    word = (word ^ constant) & _LOW
    constant = (constant * factor) & _LOW
    word = (word * constant) & _LOW
    return word ^ (word >> _u64(16)), constant


@device
def _step(high, low, step_high, step_low):
    """The next state: times the multiplier, plus the step, modulo 2**128."""
    a, b = low & _LOW, low >> _u64(32)
    c, d = _MULTIPLIER_LOW & _LOW, _MULTIPLIER_LOW >> _u64(32)
    middle = b * c + ((a * c) >> _u64(32))
    carried = a * d + (middle & _LOW)
    upper = b * d + (middle >> _u64(32)) + (carried >> _u64(32))
    upper += high * _MULTIPLIER_LOW + low * _MULTIPLIER_HIGH
    return _sum(upper, low * _MULTIPLIER_LOW, step_high, step_low)


@device
def _sum(high, low, more_high, more_low):
    """Two numbers of 128 bits added."""
    total = low + more_low
    return high + more_high + (_u64(1) if total < low else _u64(0)), total


@device
def _output(high, low):
    """64 bits of a state: its halves xored, and turned right by its top six bits."""
    folded, turn = high ^ low, high >> _u64(58)
    return (folded >> turn) | (folded << ((_u64(64) - turn) & _u64(63)))
