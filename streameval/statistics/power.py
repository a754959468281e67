"""What a comparison of so many rows can see, from the error that a pilot had. Knows errors, not losses."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.statistics.intervals.method import checked_level, quantile

POWER = 0.8


@frozen
class Power:
    """What further data of the pilot's kind would show, approximately: by the normal law, errors ~ 1 / sqrt(rows).

    power       chance of seeing it, at `level` · rows: of the pilot, as many as which are meant
    detectable  the smallest true difference that as many further rows show with that chance, in the values' unit
    rows_for_difference  rows that show the pilot's own difference, if it is the true one; None for one of 0, or nearly
    """

    power: float
    level: float
    rows: int
    detectable: float
    rows_for_difference: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def power_of(
    difference: float, stderr: float, rows: int, *, level: float = 0.95, power: float = POWER
) -> Power:
    """Return what can be seen with an error like that of a pilot of `rows` rows, clustered or not.

        detectable = (z + z') stderr        rows = pilot's rows ((z + z') stderr / difference)^2

    z the two-sided quantile of the level, z' the quantile of the power. Raises UsageError for a power outside (0, 1).
    """
    checked_level(level)
    if not 0.0 < power < 1.0:
        raise UsageError(f"power {power}: a number between 0 and 1, such as 0.8, was expected.")
    one_sided = math.copysign(quantile(abs(2.0 * power - 1.0)), power - 0.5) if power != 0.5 else 0.0
    reach = (quantile(level) + one_sided) * stderr
    times = reach / difference if difference else math.inf
    needed = math.ceil(rows * times * times) if math.isfinite(rows * times * times) else None
    return Power(power, level, rows, reach, needed)
