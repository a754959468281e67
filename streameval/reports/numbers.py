"""How numbers are written for people: as many digits as mean something, units that are easy to read."""

from __future__ import annotations

import math


def nats(value: float | None, digits: int = 4) -> str:
    """A loss with `digits` decimals, or with `digits` significant ones where it is small."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or abs(value) >= 10 ** (1 - digits):
        return f"{value:.{digits}f}"
    return f"{value:.{digits - 1}e}"


def ends(low: float, high: float) -> str:
    """Two ends of an interval, in nats; one that nothing bounds is told in words."""
    if math.isinf(low) and math.isinf(high):
        return "unknown"
    if math.isinf(low) or math.isinf(high):
        return f"at most {nats(high)}" if math.isinf(low) else f"at least {nats(low)}"
    return f"{nats(low)} … {nats(high)}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as percent."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def confidence(level: float) -> str:
    """A level as percent, 95 %, 97.5 %, 99.9 %: with the decimals that tell 1 - level to 1 % of itself."""
    digits = 0
    while abs(round(level, digits + 2) - level) > 0.01 * min(level, 1.0 - level) and digits < 14:
        digits += 1
    return percent(level, digits)


def count(number: int) -> str:
    """A whole number with thousands set apart."""
    return f"{number:,}"


def rate(per_second: float) -> str:
    """Rows a second, rounded to what a timing is good for."""
    for unit, size in (("million ", 1e6), ("thousand ", 1e3)):
        if per_second >= size:
            return f"{per_second / size:.3g} {unit}rows/s"
    return f"{per_second:.3g} rows/s"


def assumed(sentence: str) -> str:
    """What an interval rests on, told as what it is: true or not is the reader's to judge."""
    return f"Assumed: {sentence[:1].lower()}{sentence[1:]}"


def bytes_(number: int) -> str:
    """A size in units of 1024."""
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def seconds(value: float) -> str:
    """A duration."""
    if value < 1:
        return f"{1000 * value:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"
