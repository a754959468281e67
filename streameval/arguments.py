"""Whether an argument is a number, or an array, of the kind that was asked for, said in one way everywhere.

Knows numbers, masks and names of arguments. Does not know what any of them means.
"""

from __future__ import annotations

import operator
import sys
from numbers import Real
from typing import Any, Final

from streameval.errors import UsageError

# Probabilities of float32, or of float16 once: by so much one may lie below 0, and a row's sum from 1.
BELOW_ZERO: Final = 1e-6
SUM_SLACK: Final = 1e-3


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


def is_masked(array: Any) -> bool:
    """Whether some elements of an array are masked (`numpy.ma`): as a plain array, it would forget that."""
    # Who has not loaded numpy.ma has no such array, and it takes a while to load.
    masked = sys.modules.get("numpy.ma")
    return masked is not None and bool(masked.is_masked(array))


def no_distributions(rows: Any) -> Any:
    """Which rows (n,) of an array (n, classes) are no probabilities: negative, NaN, or of another sum than 1."""
    return ~((rows.min(axis=1, initial=0.0) >= -BELOW_ZERO) & (abs(rows.sum(axis=1) - 1.0) <= SUM_SLACK))


def describe_value(value: Any) -> str:
    """What was given, short enough for a message: the value and its type."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        text = "a number of thousands of digits"
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return shown if value is None else f"{shown} ({type(value).__name__})"
