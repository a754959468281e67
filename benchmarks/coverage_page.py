"""The counts as a section of a page: a table for each population, and in words what fell short. Counts nothing."""

from __future__ import annotations

import math
from typing import Final

from benchmarks.counting import FARTHEST, FIRST_LOOK, LEVEL, LOOKS, SIZES, Count
from streameval.defaults import GUARANTEED, METHODS, SEQUENTIAL_METHODS

# What each way of making intervals promises: for one batch of a fixed size, or at every look; bounds of losses known.
ALWAYS: Final = tuple(f"until {method}" for method in SEQUENTIAL_METHODS if method in GUARANTEED)
PROMISES: Final = {
    "normal": "approximate",
    "skew": "approximate",
    "bernstein": "guaranteed, drawn with replacement",
    "serfling": "guaranteed",
    "betting": "guaranteed",
    "predictable": "guaranteed",
    "asymptotic": "approximate",
    "until betting": "guaranteed at every look",
    "until predictable": "guaranteed at every look",
    "until asymptotic": "approximate at every look",
}
BEGIN: Final = "<!-- begin: python -m benchmarks.coverage --write -->"
END: Final = "<!-- end -->"
SURE: Final = 4.75  # standard errors: a chance of 1e-6
SHORT: Final = 3.0  # from here on an approximation is said to fall short

Found = dict[str, tuple[str, dict[str, dict[str, Count]]]]


def section(found: Found, *, trials: int, seed: int, missing: str | None) -> str:
    """The whole section, between its two marks."""
    error = 100.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / trials)
    lines = [
        BEGIN,
        "",
        f"Counted over {trials:,} random orders of each population (seed {seed}), drawn with / without replacement: "
        f"how often, in percent, the {100 * LEVEL:.0f} % interval of n rows held the mean of all rows, and in how "
        f"many orders it **missed at some look**, of {LOOKS} looks from {FIRST_LOOK} to {FARTHEST:,} rows (`until "
        f"betting` and `until predictable`: after every row; `until asymptotic`: from its burn-in on). The standard "
        f"error of a 95 is {error:.2g}. An asterisk marks what fell short of its promise by more than chance explains. "
        "In brackets stands what nobody promised: an interval of a number of rows fixed beforehand is not for looking "
        "while rows come in.",
        "",
    ]
    for name, (title, sides) in found.items():
        lines += [f"**{name}**: {title}", "", *_table(sides), ""]
    lines += [*_words(found), ""]
    if missing:
        lines += [missing, ""]
    return "\n".join([*lines, END])


def written(page: str, text: str) -> str:
    """The page with the section in its place."""
    before, rest = page.split(BEGIN)
    return before + text + rest.split(END)[1]


def broken(found: Found) -> list[str]:
    """Guarantees that did not hold."""
    wrong = []
    for name, (_, sides) in found.items():
        for way, rows in sides.items():
            for method, row in rows.items():
                if method in GUARANTEED and (method != "bernstein" or way == "with"):
                    wrong += [
                        f"{name}, {way} replacement: {method} of {n} rows covers {row.covered(n):.2%}"
                        for n in row.missed
                        if _short(row.missed[n], row.trials, SURE)
                    ]
                if method in ALWAYS and _short(row.ever, row.trials, SURE):
                    wrong.append(f"{name}, {way} replacement: {method} missed in {row.ever / row.trials:.2%}")
    return wrong


def _table(sides: dict[str, dict[str, Count]]) -> list[str]:
    head = ["interval", "promise", *(f"n = {n:,}" for n in SIZES), "missed at some look"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for method, promise in PROMISES.items():
        both = [rows[method] for rows in sides.values()]
        cells = [" / ".join(_covered(row, n) for row in both) if both[0].missed else "" for n in SIZES]
        ever = " / ".join(_ever(method, row) for row in both)
        lines.append(f"| `{method}` | {promise} | {' | '.join(cells)} | {ever} |")
    return lines


def _covered(row: Count, n: int) -> str:
    return f"{100 * row.covered(n):.1f}{'*' if _short(row.missed[n], row.trials, SHORT) else ''}"


def _ever(method: str, row: Count) -> str:
    share = f"{100 * row.ever / row.trials:.1f}"
    if not method.startswith("until"):
        return f"({share})"
    return share + ("*" if _short(row.ever, row.trials, SHORT) else "")


def _short(missed: int, trials: int, errors: float) -> bool:
    """True if so many misses are more than 5 % explains, by so many standard errors."""
    allowed = (1.0 - LEVEL) * trials
    return missed > allowed + errors * math.sqrt(allowed * LEVEL)


def _words(found: Found) -> list[str]:
    """What held, and where approximations fall short, with the share of batches that missed without a warning."""
    lines = [
        "Every guarantee held." if not broken(found) else "Not every guarantee held: see the asterisks.",
        "The approximations fall short here (in brackets: of all batches, those that missed without a warning):",
        "",
    ]
    for method in (one for one in METHODS if one not in GUARANTEED):
        said = []
        for name, (_, sides) in found.items():
            for n in SIZES:
                row = sides["with"][method]
                if _short(row.missed[n], row.trials, SHORT):
                    silent = 100 * row.silent[n] / row.trials
                    said.append(f"{name} at n = {n:,}: {100 * row.covered(n):.1f} % ({silent:.1f} %)")
        lines.append(f"- `{method}`: {'; '.join(said) if said else 'nowhere'}.")
    said = []
    for name, (_, sides) in found.items():
        row = sides["with"]["until asymptotic"]
        if _short(row.ever, row.trials, SHORT):
            said.append(f"{name}: some look missed in {100 * row.ever / row.trials:.1f} %")
    lines.append(f"- `until asymptotic`: {'; '.join(said) if said else 'nowhere'}.")
    return lines
