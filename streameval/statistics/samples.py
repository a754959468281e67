"""Which rows to read: with replacement, without, or as given. Knows row numbers, not what the rows hold."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import KernelError, UsageError
from streameval.frozen import frozen
from streameval.statistics.seeds import checked_seed, generator, number, spawn_stream

FEW = 10_000  # rows drawn in under half a millisecond by one thread
FEW_BITS = 2**32 - 1  # so large a population takes 32 random bits a row
LARGEST_POPULATION = 2**62  # the parts of a position stay below 2**32, which the kernel relies on


def with_replacement(population: int, size: int, *, seed: int | np.random.Generator = 0) -> NDArray[np.int64]:
    """Draw `size` rows of [0, population), each independently of the others: repeats happen.

    The same as `Generator(PCG64(seed)).integers(0, population, size)`. Returns (size,) int64.
    Raises UsageError for an empty population or a negative size.
    """
    _check(population, size)
    if isinstance(seed, int) and 1 < population <= FEW_BITS and size <= FEW:
        # In a process that was forked while a kernel ran, none can run any more.
        with contextlib.suppress(KernelError):
            return _without_generator(population, size, checked_seed(seed))
    return generator(seed).integers(0, population, size, dtype=np.int64)


def without_replacement(
    population: int, size: int, *, seed: int | np.random.Generator = 0
) -> NDArray[np.int64]:
    """Draw `size` different rows of [0, population), in random order, without a list of the population.

    They are the first `size` places of `Permutation.of(population, seed=seed)`: a larger sample with the
    same seed begins with a smaller one. Returns (size,) int64. Raises UsageError if size > population.
    """
    _check(population, size)
    if size > population:
        raise UsageError(
            f"size {size}: only {population} different rows exist. "
            "Draw at most as many, or draw with replacement."
        )
    return Permutation.of(population, seed=seed).take(0, size)


def given(rows: Any, population: int) -> NDArray[np.int64]:
    """Return rows chosen elsewhere as int64 row numbers, repeats kept; a boolean mask picks its true rows.

    Raises UsageError naming the first row outside [0, population), or the type found.
    """
    _check(population, 0)
    numbers = np.asarray(rows)
    if numbers.ndim != 1:
        raise UsageError(
            f"rows: found an array of shape {numbers.shape}, a flat list of row numbers was expected."
        )
    if numbers.dtype == np.bool_:
        if len(numbers) != population:
            raise UsageError(
                f"rows: a mask of {len(numbers)} entries for {population} rows. Give one entry for each row."
            )
        return np.flatnonzero(numbers).astype(np.int64, copy=False)
    if numbers.size == 0:
        return np.empty(0, np.int64)
    if not np.issubdtype(numbers.dtype, np.integer):
        raise UsageError(
            f"rows: found dtype {numbers.dtype}, integers were expected. Try rows.astype('int64')."
        )
    outside = np.flatnonzero((numbers < 0) | (numbers >= population))
    if len(outside):
        raise UsageError(
            f"rows, entry {outside[0]}: row {numbers[outside[0]]} does not exist, "
            f"rows are numbered 0 to {population - 1}."
        )
    return numbers.astype(np.int64)


def pattern(rows: NDArray[np.int64]) -> str | None:
    """Return a warning if the rows follow a pattern that no random draw does: one stride, or long runs.

    Three rows or fewer show none. In a random draw of n of N rows, unsorted, steps of 1 are as rare as 1/N.
    """
    if len(rows) < 4:
        return None
    steps = np.diff(rows)
    first = int(steps[0])
    if first and (steps == first).all():
        kind = "consecutive rows" if abs(first) == 1 else f"one row in {abs(first)}"
        return (
            f"The rows are {kind} of the file, not a random draw: if the file's order is not random, the mean is "
            "off by more than the interval says."
        )
    if (steps == 1).mean() > 0.9:
        return (
            "The rows are whole blocks of the file, not a random draw: neighbours are often alike, and then the "
            "interval is too short. Estimate with `statistics.contiguous.blocks`, whose variance is honest."
        )
    return None


def _without_generator(population: int, size: int, seed: int) -> NDArray[np.int64]:
    """The same numbers, an eighth of the time for a mini-batch: NumPy's generator is longer in the making."""
    from streameval.kernels import drawing

    spec, out = np.zeros(drawing.SPEC, np.uint64), np.empty(size, np.int64)
    spec[drawing.SEED_LOW], spec[drawing.SEED_HIGH] = seed & 2**64 - 1, seed >> 64
    spec[drawing.POPULATION] = population
    drawing.draw_with_replacement(spec, out)
    return out


@frozen(eq=False)
class Permutation:
    """A random order of [0, population), given by a key instead of a list: O(1) memory at any size.

    A Feistel network on a rectangle of left x right >= population, with cycle walking (the kernel
    `permuted_positions` says how). Twelve rounds; twenty-four below 4,096 rows, where the parts are so
    small that twelve can be told from uniform (over 400,000 keys, all 720 orders of 6 rows).
    """

    population: int
    keys: NDArray[np.uint64]

    @classmethod
    def of(cls, population: int, *, seed: int | np.random.Generator = 0) -> Permutation:
        """Return the permutation that `seed` names. A generator seeds one permutation and moves on."""
        _check(population, 0)
        return cls(population, keys(spawn_stream(number(seed)), population))

    def take(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the rows at places start..stop-1 of the order, (stop - start,) int64."""
        if not 0 <= start <= stop <= self.population:
            raise UsageError(f"places {start} to {stop}: the order has places 0 to {self.population}.")
        from streameval.kernels.permute import few_permuted_positions, permuted_positions

        out = np.empty(stop - start, np.int64)
        left, right = rectangle(self.population)
        write = permuted_positions if len(out) >= FEW else few_permuted_positions
        write(start, self.keys, left, right, self.population, out)
        return out


def rectangle(population: int) -> tuple[int, int]:
    """Return the sides of a nearly square rectangle that holds `population`, a row to spare at most.

    If both sides were odd and nothing to spare, every round would be an even permutation, and no odd one could
    come out: then there is one row to spare.
    """
    left = math.isqrt(population - 1) + 1
    right = -(-population // left)
    if left * right == population > 1 and left % 2 == right % 2 == 1:
        left += 1
    return left, right


def keys(stream: np.random.SeedSequence, population: int) -> NDArray[np.uint64]:
    """Return one key for each round of the network, (rounds,) uint64."""
    return np.asarray(stream.generate_state(rounds(population), np.uint64), np.uint64)


def rounds(population: int) -> int:
    """Return how many rounds of the network a population of this size gets."""
    return 24 if population < 4096 else 12


def _check(population: int, size: int) -> None:
    if not 1 <= population <= LARGEST_POPULATION:
        raise UsageError(f"population of {population} rows: 1 to 2**62 rows were expected.")
    if size < 0:
        raise UsageError(f"size {size}: a number of rows >= 0 was expected.")
