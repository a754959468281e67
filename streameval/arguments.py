"""Whether an argument is a number, an array, or a path, of the kind that was asked for, said in one way everywhere.

Knows numbers, arrays, masks, paths and names of arguments. Does not know what any of them means.
"""

from __future__ import annotations

import operator
import os
import sys
import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from streameval.errors import StreamevalError, StreamevalWarning, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Precisions that NumPy lacks; float32 holds each of their numbers.
NARROW: Final = ("bfloat16", "float8")
# Probabilities of float32, or of float16 once: by so much one may lie below 0, and a row's sum from 1.
BELOW_ZERO: Final = 1e-6
SUM_SLACK: Final = 1e-3


def path_text(name: str, value: Any) -> str:
    """Return a path as text.

    Raises UsageError for what is none, and for an empty one, which would mean the folder that one happens to be in.
    """
    if not isinstance(value, str | bytes | os.PathLike):
        raise UsageError(f"{name}: {describe_value(value)}, expected a path.")
    text: str = os.fsdecode(value)
    if not text:
        raise UsageError(f"{name}: an empty path. Is the variable set that should hold it?")
    return text


def integer(name: str, value: Any, *, least: int | None = None) -> int:
    """Return `value` as an int: NumPy's integers are some, 2.0, "2" and True are none.

    least  the smallest that is accepted

    Raises UsageError that names the argument, what was found and what was expected.
    """
    if type(value) is int and (0 if least is None else least) <= value < 2**63:
        return value
    expected = "an integer" if least is None else f"an integer, {least} or more"
    if isinstance(value, bool):
        raise UsageError(f"{name}: {describe_value(value)}, expected {expected}.")
    try:
        number = operator.index(value)
        if abs(number) >> 128:
            raise UsageError(
                f"{name}: a number of {number.bit_length()} bits, expected {expected}, of less than 128."
            )
    except TypeError:
        raise UsageError(f"{name}: {describe_value(value)}, expected {expected}.") from None
    if least is not None and number < least:
        raise UsageError(f"{name}: {number}, expected {least} or more.")
    return number


def real(name: str, value: Any, expected: str = "a number") -> float:
    """Return `value` as a float, NaN and infinity included: None, "2" and True are no numbers.

    Raises UsageError that names the argument, what was found and what was expected.
    """
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name}: {describe_value(value)}, expected {expected}.")
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{name}: {describe_value(value)}, expected {expected}.") from None


def array_of(values: Any) -> NDArray[Any]:
    """What any library calls an array, as NumPy's: of tensors, whatever device has them, the numbers without gradients;
    of a precision that NumPy lacks, as float32.

    Raises ValueError that says why it is none: rows of unlike lengths, a sparse tensor, numbers that are not there yet.
    """
    # Who only asks for help has no array, and NumPy takes a while to load.
    import numpy as np

    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            narrow = str(values.dtype).removeprefix("torch.").startswith(NARROW)
            values = values.float() if narrow else values
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None
    return array.astype(np.float32) if array.dtype.name.startswith(NARROW) else array


def array_or(error: type[StreamevalError], told: str, values: Any, cure: str) -> NDArray[Any]:
    """The same. Raises `error` in place of ValueError: `told` ("y:", "x is") a what, why it is none, the cure."""
    try:
        return array_of(values)
    except ValueError as reason:
        raise error(f"{told} a {kind_of(values)} that does not become an array ({reason}). {cure}") from None


def kind_of(values: Any) -> str:
    """What something is, for a message: the package, unless it is Python itself, and the type."""
    package = type(values).__module__.partition(".")[0]
    return type(values).__name__ if package == "builtins" else f"{package}.{type(values).__name__}"


def is_masked(array: Any) -> bool:
    """Whether some elements of an array are masked (`numpy.ma`): as a plain array, it would forget that."""
    # Who has not loaded numpy.ma has no such array, and it takes a while to load.
    masked = sys.modules.get("numpy.ma")
    return masked is not None and bool(masked.is_masked(array))


def no_distributions(rows: Any) -> Any:
    """Which rows (n,) of an array (n, classes) are no probabilities: negative, NaN, or of another sum than 1."""
    return ~((rows.min(axis=1, initial=0.0) >= -BELOW_ZERO) & (abs(rows.sum(axis=1) - 1.0) <= SUM_SLACK))


def warn_of_probabilities(told: str, rows: Any, cure: str) -> None:
    """Warn where all rows (n, classes) that were given as logits are probabilities, as logits hardly ever are.

    told  what begins the message, such as the column
    """
    # Most others show it in the first row.
    if len(rows) and not no_distributions(rows[:1]).any() and not no_distributions(rows).any():
        warnings.warn(
            f"{told} rows without a number below 0 and of sum 1 are taken as logits, so that their softmax is what "
            f"counts. If they are probabilities: {cure}.",
            StreamevalWarning,
            stacklevel=2,
        )


def describe_value(value: Any) -> str:
    """What was given, short enough for a message: the value and its type."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no integer of more than some thousand digits
        text = "a number of thousands of digits"
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return shown if value is None else f"{shown} ({type(value).__name__})"
