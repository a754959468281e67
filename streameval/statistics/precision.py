"""How many rows a wanted precision takes, and what they cost. Knows spread and sizes, not the losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from streameval.errors import UsageError
from streameval.statistics.intervals.betting import threshold
from streameval.statistics.intervals.interval import checked_level, quantile

HALF_WIDTHS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
PROJECTED = (10**7, 10**9)


@dataclass(frozen=True, slots=True)
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
) -> int:
    """Return about how many random rows make an interval of this half-width.

        n = n0 / (1 + n0 / N),  n0 = (c sd / half_width)^2,  c = z for "normal", sqrt(2 ln(2/a)) for "betting"

    Without replacement from N rows; population None for draws with. For betting, n0 is where the capital
    against a mean that is off by `half_width` is expected to pass 2/a; losses of known spread sd.
    """
    if not 0.0 < half_width < math.inf or not 0.0 <= sd < math.inf:
        raise UsageError(f"half-width {half_width}, spread {sd}: positive finite numbers were expected.")
    costs = {"normal": quantile(checked_level(level)), "betting": math.sqrt(2.0 * threshold(level))}
    if method not in costs:
        raise UsageError(f"method {method!r}: {' or '.join(costs)} was expected.")
    draws = (costs[method] * sd / half_width) ** 2
    if population is None:
        return max(1, math.ceil(draws))
    return max(1, min(population, math.ceil(draws / (1.0 + draws / population))))


def precision_table(
    sd: float,
    population: int,
    *,
    half_widths: Sequence[float] = HALF_WIDTHS,
    projected: Sequence[int] = PROJECTED,
    level: float = 0.95,
    bytes_per_row: float | None = None,
    seconds_per_row: float | None = None,
) -> tuple[Precision, ...]:
    """Return rows, share, bytes and seconds for each half-width, by both methods.

    First for this population, then for populations of the `projected` sizes whose losses are spread alike.
    """
    table = []
    for size in (population, *projected):
        for half_width in half_widths:
            for method in ("normal", "betting"):
                rows = rows_needed(half_width, sd, population=size, level=level, method=method)
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
