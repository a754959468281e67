"""A model as a function from a batch of rows to numbers. Knows what it takes and returns, not who computes it."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streameval.arguments import array_of, describe_value, integer
from streameval.errors import ModelError, UsageError

Shape = tuple[int, ...]
RowShape = Shape | Literal["image"]

# What the numbers of a row may be.
RETURNS = ("logits", "probabilities", "numbers")
BATCH_ROWS = 1024


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictor:
    """Anything that turns a batch of rows into logits or probabilities, as a model.

    predict     called with x (n, *shape), returns (n, outputs), or (n,) for one number a row: an array, or what NumPy
                makes one of
    returns     "logits", "probabilities" or "numbers", as of a regression; None: seen at the first rows.
                Probabilities of classes are not negative, and sum to 1 in every row
    outputs     numbers of a row; 0: seen at the first rows
    shapes      of a row as predict takes it: the first that works is taken. () stands for a flat row (features,),
                "image" for channels first, (1, h, w) of a data set of (h, w)
    raw         False: x is float32, stored values times the data set's scale. True: x is as stored, uint8 for images
    batch_rows  rows of a call at most · fixed: every call has exactly so many, the last one repeated to fill it
    kind, name  who computes, and what it is, for people and reports
    identity    what identifies its content: a hash of its weights, a version. None: not known, and then a pass of it
                has no checkpoint and no shards
    path        of the file it came from, or None · files: further ones that belong to it

    Its bits are its own: chunks and threads may change the last ones. Sums over them are exact. Raises UsageError for
    what is none of these.
    """

    predict: Callable[[Any], ArrayLike]
    returns: str | None = None
    outputs: int = 0
    shapes: tuple[RowShape, ...] = ((),)
    raw: bool = False
    batch_rows: int = BATCH_ROWS
    fixed: bool = False
    kind: str = "callable"
    name: str = ""
    identity: str | None = None
    path: str | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not callable(self.predict):
            raise UsageError(
                f"predict: {type(self.predict).__name__}, expected something that can be called."
            )
        if self.returns is not None and self.returns not in RETURNS:
            raise UsageError(f"returns: {self.returns!r}, expected one of {', '.join(RETURNS)}, or None.")
        integer("batch_rows", self.batch_rows, least=1)
        integer("outputs", self.outputs, least=0)
        if not (isinstance(self.shapes, tuple | list) and self.shapes and all(map(_is_shape, self.shapes))):
            raise UsageError(
                f"shapes: {describe_value(self.shapes)}, expected a tuple of one shape of a row or more, such as "
                "((1, 28, 28),) or ('image',)."
            )
        if self.identity is not None and not (isinstance(self.identity, str) and self.identity):
            raise UsageError(
                f"identity: {describe_value(self.identity)}, expected text, such as a hash or a version; None where it "
                "is not known."
            )

    @property
    def shape(self) -> Shape:
        """Of a row as it is given; () for a flat one."""
        first = self.shapes[0]
        return () if isinstance(first, str) else first

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or self.kind

    @property
    def identified(self) -> bool:
        """Whether the content is known, not the name alone."""
        return self.identity is not None

    @property
    def sha256(self) -> str:
        """See `Model`: of the identity, or of the name where none is known, and of how rows are given and taken."""
        parts = ("streameval predictor 1", self.kind, self.identity or f"name {self.name}")
        told = (*parts, str(self.returns), str(self.shape), str(self.raw))
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    @property
    def summary(self) -> str:
        """See `Model`."""
        return f"{self.title}, {self.outputs} {self.returns} a row, computed by {self.kind}"

    def describe(self) -> dict[str, Any]:
        """See `Model`; no layers are known but the outputs."""
        return {
            "layers": [self.outputs],
            "activations": [],
            "computed_by": self.kind,
            # A copy at another path is the same model.
            "name": self.name if self.path is None else None,
            "returns": self.returns,
            "row_shape": list(self.shape),
            "identified": self.identified,
        }

    def call(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """The numbers (n, k) float64 of rows (n, features), in calls of at most `batch_rows`.

        Raises ModelError for what is no array of numbers, or of another number of rows. What `predict` raises comes
        through.
        """
        parts = [self._one(x[start : start + self.batch_rows]) for start in range(0, len(x), self.batch_rows)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _one(self, x: NDArray[Any]) -> NDArray[np.float64]:
        n = len(x)
        if self.fixed and n < self.batch_rows:
            x = np.concatenate([x, np.repeat(x[-1:], self.batch_rows - n, axis=0)])
        out = numbers(
            self.predict(x.reshape(len(x), *self.shape) if self.shape else x), self.name or self.kind
        )
        if len(out) != len(x):
            raise ModelError(
                f"{self.title}: {len(out)} rows came back for {len(x)}, expected one for each. Return an "
                "array (rows, outputs)."
            )
        return out[:n]

    def fits(self, row: Shape) -> Predictor:
        """Itself with the shapes that rows of this shape can be given in. Raises ModelError if there are none."""
        features = math.prod(row)
        image = (1, *row) if len(row) == 2 else row
        named = [one if one != "image" else image if len(image) == 3 else () for one in self.shapes]
        as_many = [one for one in named if not one or math.prod(one) == features]
        shapes = tuple(dict.fromkeys(one for one in as_many if _same_order(one, row)))
        if as_many and not shapes:
            raise ModelError(
                f"{self.title} takes rows of shape {' or '.join(map(str, as_many))}, but those of the data are {row}: "
                f"as many numbers, in another order. {_transpose(row, as_many[0])}"
            )
        if not shapes:
            raise ModelError(
                f"{self.title} takes rows of shape {' or '.join(map(str, self.shapes))}, but the data have "
                f"{features} features. Choose the model that belongs to this data."
            )
        return replace(self, shapes=shapes)


def _is_shape(given: Any) -> bool:
    """Whether it is the shape of a row: the word, or a tuple of integers."""
    sides = given if isinstance(given, tuple) else (None,)
    whole = all(isinstance(one, int | np.integer) and not isinstance(one, bool) and one >= 0 for one in sides)
    return given == "image" or whole


def _same_order(given: Shape, row: Shape) -> bool:
    """Whether a row can be given so without mixing up its dimensions; a flat row can be given in any shape."""
    mine, theirs = ([side for side in shape if side != 1] for shape in (given, row))
    return len(mine) < 2 or len(theirs) < 2 or mine == theirs


def _transpose(row: Shape, wanted: Shape) -> str:
    """What to do to rows of one shape so that they have another."""
    for order in itertools.permutations(range(len(row))):
        if tuple(row[k] for k in order) == wanted:
            return f"Transpose the data: x.transpose{(0, *(k + 1 for k in order))}."
    return f"Give rows of shape {wanted}."


def as_bytes(x: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Rows for a model of bytes. Raises ModelError for others: cut off to whole numbers, they would all be 0 or 1."""
    if x.dtype != np.uint8:
        raise ModelError(
            f"{name} takes bytes (uint8), but the features are {x.dtype}: from 0 to 1, or normalised, they would be "
            "cut off to whole numbers. Give the pixels as they are, as uint8, without mean and std."
        )
    return x


def numbers(out: Any, name: str) -> NDArray[np.float64]:
    """What a model returned, as (n, k) float64: arrays, and tensors of any library. Raises ModelError for others."""
    try:
        array = array_of(out)
    except ValueError as error:
        array = np.empty(0, object)
        found = f"{type(out).__name__} ({error})"
    else:
        found = f"{array.dtype} of shape {array.shape}"
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ModelError(
            f"{name}: {type(out).__name__} came back, {found}; expected an array of numbers (rows, outputs). Wrap it: "
            "streameval.Predictor(predict=lambda x: model(x)...)."
        )
    wide = array.astype(np.float64, copy=False)
    return wide[:, None] if wide.ndim == 1 else wide
