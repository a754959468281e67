"""Arrays and sizes as layers keep them: read-only float32, pairs, borders, and how many windows fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.arguments import array_or
from streameval.errors import ModelError

Pair = tuple[int, int]
Borders = tuple[int, int, int, int]


def float32(values: ArrayLike, name: str) -> NDArray[np.float32]:
    """Return a read-only C-contiguous float32 copy, so that neither the hash nor the checks go stale."""
    given = as_array(values, name)
    if given.dtype.kind != "f":
        raise ModelError(
            f"{name}: {given.dtype}, expected floating point. Convert it with .astype('float32')."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        copy = np.array(given, dtype=np.float32, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """What any library calls an array, a tensor or a parameter of torch too, as NumPy's."""
    cure = f"Give numbers in rows of one length: of a sparse tensor, {name}.to_dense()."
    return array_or(ModelError, f"{name}:", values, cure)


def vector(values: ArrayLike, size: int, name: str, why: str) -> NDArray[np.float32]:
    """The same for one number per channel or feature, of which there are `size`; `why` says where they come from."""
    copy = float32(values, name)
    if copy.shape != (size,):
        raise ModelError(f"{name}: shape {copy.shape}, but {why}: expected ({size},).")
    return copy


def pair(value: int | Sequence[int], name: str) -> Pair:
    """(down, across) from one number for both or from two, each at least 1."""
    numbers = _whole(value, name, 1, (1, 2))
    return numbers[0], numbers[-1]


def borders(value: int | Sequence[int]) -> Borders:
    """(top, left, bottom, right) from one number, (down, across), or all four, each at least 0."""
    numbers = _whole(value, "padding", 0, (1, 2, 4))
    return numbers if len(numbers) == 4 else (numbers[0], numbers[-1]) * 2


def one(value: Any, name: str, least: int) -> int:
    """A whole number, at least `least`."""
    return _whole(value, name, least, (1,))[0]


def image(inputs: tuple[int, ...], what: str) -> tuple[int, int, int]:
    """The shape of an input that has to be (channels, height, width)."""
    if len(inputs) != 3:
        raise ModelError(f"{what} takes (channels, height, width), not {inputs}.")
    return inputs


def windows(size: int, kernel: int, stride: int, before: int, after: int, *, ceil: bool = False) -> int:
    """How many windows fit: floor or ceil((size + before + after - kernel) / stride) + 1, 0 if not one does.

    With ceil a window may reach over the end, but has to begin inside, or in the border before.
    """
    room = size + before + after - kernel
    if room < 0:
        return 0
    count = (room + stride - 1 if ceil else room) // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= size + before else count


def _whole(value: Any, name: str, least: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    fine = len(numbers) in lengths and all(
        isinstance(number, int | np.integer) and not isinstance(number, bool) and number >= least
        for number in numbers
    )
    if not fine:
        many = " or ".join(map(str, lengths))
        raise ModelError(f"{name}: {value!r:.60}, expected {many} whole numbers, at least {least}.")
    return tuple(int(number) for number in numbers)
