"""Ways to damage bytes, numbers in them, and trees of JSON. Know no format."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

# Numbers at which something may go wrong.
EDGES = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    17,
    20,
    32,
    50,
    63,
    64,
    127,
    128,
    255,
    256,
    800,
    1000,
    0x7FFF,
    0x8000,
    0xFFFF,
)
EDGES += (
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 32,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 8,
)
EDGES += ((1 << 64) - 1,)
STEPS = (-1, 1, -2, 2, -4, 4, -8, 8, -16, 16, 64, -64, 256)
VALUES: tuple[Any, ...] = (
    None,
    [],
    {},
    0,
    -1,
    1,
    1.5,
    True,
    "",
    "x",
    "nan",
    "0x1p+2000",
    [1],
    [[1]],
    {"a": 1},
)
VALUES += (
    2**31,
    2**53,
    2**63,
    2**64,
    -(2**63),
    10**40,
    10**400,
    -(10**400),
    float("nan"),
    float("inf"),
    1e308,
)
VALUES += ("\x1b]0;title\x07\x1b[2J", "\u202egnp", "a" * 5000, [0] * 500)

Range = tuple[int, int]


def damaged(rng: Random, data: bytes, focus: Sequence[Range] = ()) -> bytes:
    """Return `data` with one to twelve changes, most of them within the ranges of `focus`."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 5, 12))):
        at = _place(rng, len(out), focus)
        rng.choice(CHANGES)(rng, out, at)
    return bytes(out)


def _place(rng: Random, size: int, focus: Sequence[Range]) -> int:
    if focus and rng.random() < 0.85:
        first, stop = rng.choice(focus)
        first, stop = max(0, min(first, size - 1)), max(1, min(stop, size))
        return rng.randrange(first, max(stop, first + 1))
    return rng.randrange(max(size, 1))


def _flip(rng: Random, out: bytearray, at: int) -> None:
    if at < len(out):
        out[at] ^= 1 << rng.randrange(8)


def _byte(rng: Random, out: bytearray, at: int) -> None:
    out[at : at + 1] = bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))])


def _number(rng: Random, out: bytearray, at: int) -> None:
    """Put a number of one to eight bytes, or one near the one that is there."""
    width = rng.choice((1, 2, 4, 4, 8, 8))
    at -= at % width if rng.random() < 0.8 else 0
    order = rng.choice(("little", "little", "big"))
    value = rng.choice((*EDGES, len(out), len(out) - at))
    if rng.random() < 0.4:
        value = int.from_bytes(out[at : at + width], order) + rng.choice(STEPS)
    out[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)


def _remove(rng: Random, out: bytearray, at: int) -> None:
    del out[at : at + rng.choice((1, 2, 4, 8, 16, 64, rng.randrange(1, len(out) + 2)))]


def _insert(rng: Random, out: bytearray, at: int) -> None:
    out[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 16)))


def _copy(rng: Random, out: bytearray, at: int) -> None:
    other, size = rng.randrange(len(out) + 1), rng.choice((1, 4, 8, 16, 64, 200))
    part = out[other : other + size]
    out[at : at + (len(part) if rng.random() < 0.6 else 0)] = part


def _end(rng: Random, out: bytearray, at: int) -> None:
    if rng.random() < 0.5:
        del out[at:]
    else:
        out += out[at:]


CHANGES = (_flip, _flip, _flip, _byte, _number, _number, _number, _remove, _insert, _copy, _end)


def number_everywhere(rng: Random, data: bytes, ranges: Sequence[Range]) -> bytes:
    """Return `data` with one number of 4 or 8 bytes changed in the same way wherever it stands in `ranges`.

    What checks one place against another sees nothing; so sizes that are stated twice lie alike.
    """
    code = rng.choice("iqq")
    width = struct.calcsize(code)
    first, stop = rng.choice(list(ranges))
    places = range(first + (-first) % 4, max(first, stop - width) + 1, 4)
    if not places:
        return data
    at = rng.choice(places)
    old = data[at : at + width]
    value = struct.unpack(f"<{code}", old)[0]
    value = value + rng.choice(STEPS) if rng.random() < 0.7 else rng.choice(EDGES)
    new = (value % (1 << 8 * width)).to_bytes(width, "little")
    out = bytearray(data)
    for begin, end in ranges:
        for place in range(begin + (-begin) % 4, end - width + 1, 4):
            if data[place : place + width] == old:
                out[place : place + width] = new
    return bytes(out)


def tree_changed(rng: Random, tree: Any, values: Sequence[Any] = VALUES) -> Any:
    """Return a tree of JSON with one to three of its leaves or branches replaced, removed, doubled or nudged."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        paths = [path for path in _paths(tree) if path]
        if not paths:
            return rng.choice(values)
        path = rng.choice(paths)
        branch = tree
        for key in path[:-1]:
            branch = branch[key]
        _change_leaf(rng, branch, path[-1], values)
    return tree


def _change_leaf(rng: Random, branch: Any, key: Any, values: Sequence[Any]) -> None:
    kind = rng.randrange(8)
    if kind == 0:
        del branch[key]
    elif kind == 1 and isinstance(branch[key], int | float) and not isinstance(branch[key], bool):
        branch[key] += rng.choice((-1, 1, 2, 1000, 2**40))
    elif kind == 2 and isinstance(branch, list):
        branch.append(copy.deepcopy(branch[key]))
    elif kind == 3 and isinstance(branch, list):
        rng.shuffle(branch)
    elif kind == 4 and isinstance(branch, dict):
        branch[rng.choice(("x", "", "\x1b[31m", key * 2))] = branch.pop(key)
    elif kind == 5:
        branch[key] = copy.deepcopy(rng.choice([branch[other] for other in _keys(branch)]))
    else:
        branch[key] = copy.deepcopy(rng.choice(values))


def _keys(branch: Any) -> list[Any]:
    return list(branch) if isinstance(branch, dict) else list(range(len(branch)))


def _paths(tree: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    if isinstance(tree, dict | list):
        for key in _keys(tree)[:40]:
            yield from _paths(tree[key], (*before, key))


def json_bytes(tree: Any) -> bytes:
    """Return a tree as JSON, as Python writes it: NaN, Infinity and long numbers included."""
    return json.dumps(tree).encode()
