"""How many rows a wanted precision takes, and what they cost. Knows spread and sizes, not the losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.intervals.asymptotic import margin
from streameval.statistics.intervals.betting import threshold
from streameval.statistics.intervals.method import checked_level, quantile
from streameval.statistics.sequences import BURN_IN

HALF_WIDTHS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
PROJECTED = (10**7, 10**9)
RANGE_COST = 0.1


@frozen
class Precision:
    """What `half_width` at the table's level takes by `method`, of a population; None where unknown."""

    half_width: float
    method: str
    population: int
    rows: int
    fraction: float
    bytes: int | None
    seconds: float | None


def rows_needed(
    half_width: float,
    sd: float,
    *,
    population: int | None = None,
    level: float = 0.95,
    method: str = "normal",
    reach: float | None = None,
) -> int:
    """Return about how many random rows make an interval of this half-width, e.

        n = n0 / (1 + n0 / N)      without replacement from N rows; population None for draws with

        "normal"      n0 = (z sd / e)^2
        "betting"     n0^2 / (n0 + P) = 2 ln(2/a) ((sd / e)^2 + R / 10 e),  P = (R / 2 sd)^2,  R = reach
        "asymptotic"  sd times the margin at n0 is e; at least its burn-in of 500

    For betting, 2 ln(2/a) (sd / e)^2 rows would do if sd were known and losses lay close to their mean. P is what
    learning the spread costs, from a prior of the largest there is; R / 10 e what losses of the size of the range
    cost: a tenth is fitted, so that the formula is within about 15 % of what `until` reads for e <= R / 300, over
    MNIST, rare large losses and losses at both bounds. reach: the width of the bounds; None leaves both out.
    """
    if not 0.0 < half_width < math.inf or not 0.0 <= sd < math.inf:
        raise UsageError(f"half-width {half_width}, spread {sd}: positive finite numbers were expected.")
    checked_level(level)
    if method == "normal":
        draws = _square(quantile(level) * sd / half_width)
    elif method == "betting":
        draws = _betting_draws(half_width, sd, level, reach)
    elif method == "asymptotic":
        draws = _asymptotic_draws(half_width, sd, level)
    else:
        raise UsageError(f"method {method!r}: normal or betting or asymptotic was expected.")
    if math.isinf(draws):
        if population is None:
            raise UsageError(
                f"half-width {half_width}: no number of rows is large enough. Give a larger one."
            )
        return population
    if population is None:
        return max(1, math.ceil(draws))
    return max(1, min(population, math.ceil(draws / (1.0 + draws / population))))


def _square(x: float) -> float:
    """x * x, infinite where it fits no float."""
    return x * x


def _betting_draws(half_width: float, sd: float, level: float, reach: float | None) -> float:
    price = 2.0 * threshold(level) * _square(sd / half_width)
    if reach is None or sd == 0.0:
        return price
    price += 2.0 * threshold(level) * RANGE_COST * reach / half_width
    learning = _square(0.5 * reach / sd)
    return 0.5 * (price + math.sqrt(price * (price + 4.0 * learning)))


def _asymptotic_draws(half_width: float, sd: float, level: float) -> float:
    low, high = float(BURN_IN), float(BURN_IN)
    while sd * margin(high, level) > half_width:
        low, high = high, 2.0 * high
    while high - low > 1e-9 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if sd * margin(middle, level) > half_width else (low, middle)
    return high


def precision_table(
    sd: float,
    population: int,
    *,
    half_widths: Sequence[float] = HALF_WIDTHS,
    projected: Sequence[int] = PROJECTED,
    level: float = 0.95,
    bytes_per_row: float | None = None,
    seconds_per_row: float | None = None,
    reach: float | None = None,
) -> tuple[Precision, ...]:
    """Return about the rows, share, bytes and seconds for each half-width: by "normal", and as `until` reads them.

    That is by "betting" where losses have bounds, `reach` apart, else by "asymptotic". First for this
    population, then for populations of the `projected` sizes whose losses are spread alike.
    """
    table = []
    for size in (population, *projected):
        for half_width in half_widths:
            for method in ("normal", "asymptotic" if reach is None else "betting"):
                rows = rows_needed(half_width, sd, population=size, level=level, method=method, reach=reach)
                table.append(
                    Precision(
                        half_width,
                        method,
                        size,
                        rows,
                        rows / size,
                        None if bytes_per_row is None else round(rows * bytes_per_row),
                        None if seconds_per_row is None else rows * seconds_per_row,
                    )
                )
    return tuple(table)


def as_list(table: Sequence[Precision]) -> list[dict[str, object]]:
    """Return the table as plain dictionaries for JSON."""
    return [asdict(row) for row in table]
