"""What is fuzzed: a reader, with files to begin with, a way to damage them, and someone else who reads the same.

Knows none of the readers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

Case = dict[str, bytes]
"""The files of one input: name -> content."""

KEPT = 4096
"""The longest message that an error may have."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under test.

    seeds     whole inputs that it reads, each as files
    mutate    (random numbers, a seed) -> a damaged or changed input
    read      (folder that holds the input, random numbers for the choice of options) -> what was read, as bytes that
              are equal only for equal content; raises one of `refusals` for what it does not accept
    refusals  errors that are right answers to bad input
    oracle    the same by other software: bytes to compare, or None where it reads the input otherwise or not at all
    prepare   called once, before memory is limited: imports, compilation
    """

    seeds: Callable[[], list[Case]]
    mutate: Callable[[Random, Case], Case]
    read: Callable[[Path, Random], bytes]
    refusals: tuple[type[Exception], ...]
    oracle: Callable[[Path], bytes | None] | None = None
    prepare: Callable[[], object] = lambda: None


def content_hash(parts: Iterable[bytes]) -> bytes:
    """Return what is equal only for equal parts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.digest()


def write_case(case: Case, folder: Path) -> None:
    """Write the files of an input into an empty folder."""
    for name, content in case.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
