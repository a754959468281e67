"""Where randomness comes from: an int or a NumPy generator, and nothing else. Does not know what is drawn."""

from __future__ import annotations

import numpy as np

from streameval.errors import UsageError


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return `Generator(PCG64(seed))`, or the generator itself, which then moves on."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.Generator(np.random.PCG64(_checked(seed)))


def number(seed: int | np.random.Generator) -> int:
    """Return the seed as one int from which several independent streams can be grown."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(0, 2**63))
    return _checked(seed)


def recorded(seed: int | np.random.Generator) -> int | None:
    """Return the seed as a result tells it: an int, or None for a generator, which has moved on."""
    return None if isinstance(seed, np.random.Generator) else _checked(seed)


def spawn_stream(seed: int, *path: int) -> np.random.SeedSequence:
    """Return the stream named by `path`: independent of every other path, the same on every machine."""
    return np.random.SeedSequence([_checked(seed), *path])


def _checked(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed {seed!r}: an int >= 0 or a numpy.random.Generator was expected. Try seed=0.")
    return int(seed)
