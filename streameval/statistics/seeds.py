"""Where randomness comes from: an int or a NumPy generator, and nothing else. Does not know what is drawn."""

from __future__ import annotations

import numpy as np

from streameval.errors import UsageError

LARGEST_SEED = 2**128  # what a SeedSequence fills up to before it appends a path


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return `Generator(PCG64(seed))`, or the generator itself, which then moves on."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.Generator(np.random.PCG64(checked_seed(seed)))


def number(seed: int | np.random.Generator) -> int:
    """Return the seed as one int from which several independent streams can be grown."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(0, 2**63))
    return checked_seed(seed)


def recorded(seed: int | np.random.Generator) -> int | None:
    """Return the seed as a result tells it: an int, or None for a generator, which has moved on."""
    return None if isinstance(seed, np.random.Generator) else checked_seed(seed)


def spawn_stream(seed: int, *path: int) -> np.random.SeedSequence:
    """Return the stream named by seed and `path`: another one for every other seed or path, the same everywhere.

    Each number of the path (0 <= k < 2**64) becomes two words of 32 bits behind a seed that is filled up to 128
    bits, so that no two names are the same words: () is not (0), and seed 7 with (0,) is not seed 7 * 2**32.
    """
    words = tuple(word for k in path for word in (k & 0xFFFFFFFF, k >> 32))
    return np.random.SeedSequence(checked_seed(seed), spawn_key=words)


def checked_seed(seed: int) -> int:
    """Return the seed as an int. Raises UsageError for anything but one from 0 to 2**128 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < LARGEST_SEED:
        raise UsageError(
            f"seed {seed!r}: an int from 0 to 2**128 - 1 or a numpy.random.Generator was expected. Try seed=0."
        )
    return int(seed)
