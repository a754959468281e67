"""Results as tables: Markdown for a page, the same for a terminal.

Knows how numbers look. Does not know how they were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from benchmarks.bars import BARS, MIB, found
from benchmarks.results import Result, Results, fastest_peer, is_ours, peers, rate, wrong
from benchmarks.workloads import RACES

Rows = Sequence[Sequence[str]]
# A load average over this, before the start, is someone else's.
BUSY: Final = 0.5


def page(stored: dict[str, Any], *, figure: str | None) -> str:
    """The whole page: bars, where streameval loses, every table, how to reproduce. `figure`: the picture's path."""
    results: Results = {result["name"]: result for result in stored["results"]}
    parts = [_HEAD, machine(stored["machine"]), "## The bars\n", bars(results), _BARS_NOTE]
    parts += ["## Where streameval loses\n", _list(losses(results)) or "In none of the workloads below.\n"]
    if figure is not None:
        parts += [
            "## Against the limits of the machine\n",
            f"![Rows a second against the limits]({figure})\n",
        ]
        parts.append(limits(stored["limits"]))
    parts.append("## Every workload\n")
    parts += [f"### {result['name']}: {result['title']}\n\n{table(result)}" for result in results.values()]
    return "\n".join([*parts, _HOW])


def table(result: Result) -> str:
    """One result as a Markdown table, with its notes."""
    notes = list(result["notes"]) + wrong({result["name"]: result})
    return _KINDS[result["kind"]](result) + ("\n" + _list(notes) if notes else "")


def bars(results: Results) -> str:
    """The table of bars with what was found."""
    rows = []
    for bar in BARS:
        seen = found(bar, results)
        text, verdict = (seen.text, seen.verdict) if seen else ("", "not measured")
        rows.append((bar.workload, bar.bar, bar.goal, text, verdict))
    return markdown(("workload", "bar", "goal", "found", "verdict"), rows)


def losses(results: Results) -> list[str]:
    """A sentence for each peer that is faster in a workload, and for each bar that is not met."""
    said = []
    for name, result in results.items():
        if result["kind"] != "race":
            continue
        for mine in (line for line in result["lines"] if is_ours(line)):
            said += [
                f"{name}: {peer['who']} is {mine['median'] / peer['median']:.2f} x as fast as {mine['who']} "
                f"({seconds(peer['median'])} against {seconds(mine['median'])})."
                for peer in peers(result)
                if peer["median"] < mine["median"]
            ]
    for bar in BARS:
        seen = found(bar, results)
        if seen is not None and not seen.bar:
            said.append(f"{bar.result}: the bar is {bar.bar}; found {seen.text}.")
    return said


def machine(told: dict[str, Any]) -> str:
    """Where and with what it was measured."""
    packages = ", ".join(f"{name} {found or 'not installed'}" for name, found in told["packages"].items())
    lines = [
        f"Measured on {told['date']}; streameval {told['streameval']}.",
        f"CPU: {told['cpu']} ({told['cpu_model']}; {', '.join(told['instructions']) or 'no vector extensions named'}), "
        f"{told['cpus']} CPUs, {told['memory_bytes'] / 2**30:.0f} GiB, {told['system']}.",
        *_engine(told),
        f"Every contestant may use {told['threads']} threads, unless the table says one.",
        f"Python {told['python']}, {packages}. Keras is not among the peers: the extra `[bench]` does not hold it.",
        f"The uint8 rows are {told['pixels']}. Load average before the start: {told['load_before']:.1f}.",
    ]
    if "minutes" in told:
        lines.append(f"The whole run took {told['minutes']:.0f} minutes.")
    if told["load_before"] > BUSY:
        lines.insert(0, "**The machine was busy with something else: the ratios may be off.**")
    if told.get("quick"):
        lines.insert(
            0, "**A quick run on few rows: it shows that everything works, its figures mean nothing.**"
        )
    return _list(lines)


def _engine(told: dict[str, Any]) -> list[str]:
    """How streameval multiplied bytes; results of before do not say it."""
    if "byte_engine" not in told:
        return []
    masked = ", as on a CPU with no more than that: the rest was hidden from it by NUMBA_CPU_FEATURES, not from peers"
    return [
        f"streameval multiplied bytes by `{told['byte_engine']}`{masked if told['masked'] else ''} "
        "(`streameval.kernels.host`)."
    ]


def limits(found: dict[str, float]) -> str:
    """What the probes measured."""
    return (
        f"Dense arithmetic: {found['flops'] / 1e9:.0f} GFLOP/s, the best float32 matrix product of NumPy and PyTorch. "
        f"Memory: {found['bytes'] / 1e9:.1f} GB/s read by all threads, {found['bytes_one'] / 1e9:.1f} by one. "
        "Who computes every product cannot pass the bar's end; whoever skips products that are zero can.\n"
    )


def markdown(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table whose columns are padded, so that it reads in a terminal too; numbers to the right."""
    width = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    right = [name not in _WORDS for name in head]

    def line(cells: Iterable[str]) -> str:
        padded = (
            cell.rjust(wide) if is_right else cell.ljust(wide)
            for cell, wide, is_right in zip(cells, width, right, strict=True)
        )
        return f"| {' | '.join(padded)} |\n"

    rule = (
        "-" * (wide - 1) + ":" if is_right else "-" * wide
        for wide, is_right in zip(width, right, strict=True)
    )
    return line(head) + line(rule) + "".join(line(row) for row in rows)


# Columns of words; all others hold numbers.
_WORDS: Final = frozenset({"who", "what", "best setting", "workload", "bar", "goal", "found", "verdict"})


def seconds(value: float) -> str:
    """Three digits, in the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value / 1e-6)} µs"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _race(result: Result) -> str:
    peer = fastest_peer(result)
    jobs = result["name"] in RACES
    rows = []
    for line in result["lines"]:
        speed = peer["median"] / line["median"] if peer is not None and line["loss"] is not None else None
        rows.append(
            (
                line["who"],
                line["setting"],
                seconds(line["median"]),
                seconds(line["fastest"]),
                "" if speed is None or not line["right"] else f"{speed:.2f} x",
                _off(line),
            )
        )
    setting = "best setting" if jobs else ""
    head = ("who", setting, "median", "fastest", "speed, fastest peer = 1", "loss off by")
    keep = [i for i, name in enumerate(head) if name and any(row[i] for row in rows)]
    return markdown([head[i] for i in keep], [[row[i] for i in keep] for row in rows])


def _off(line: dict[str, Any]) -> str:
    """How far the loss is from exact, as a share of it."""
    if line["loss"] is None:
        return ""
    share = abs(line["loss"] - line["exact"]) / line["exact"]
    return f"{share:.0e}" if line["right"] else f"{share:.0e}, wrong"


def _rates(result: Result) -> str:
    rows = [
        (
            line["who"],
            f"{line['rows']:,}",
            seconds(line["median"]),
            seconds(line["fastest"]),
            f"{rate(line) / 1e6:.3f}",
            f"{rate(line) / rate(result['lines'][-1]):.3f}",
        )
        for line in result["lines"]
    ]
    head = ("what", "rows", "median", "fastest", "million rows/s", "against the last line")
    wide = len(head) if result["name"] in ("scaling", "reading") else len(head) - 1
    return markdown(head[:wide], [row[:wide] for row in rows])


def _memory(result: Result) -> str:
    rows = [
        (
            f"{line['rows']:,}",
            f"{line['file_bytes'] / 1e6:,.0f} MB",
            _mib(line["outside"]),
            _mib(line["reported"]),
            _mib(line["over_imports"]),
            _mib(line["file_pages"]),
        )
        for line in result["lines"]
    ]
    head = ("rows", "file", "peak, seen from outside", "as reported", "over the imports", "file pages, peak")
    base = (
        f"A process that only imported the same modules: {_mib(result['imports'])}. One that evaluated one row, so "
        f"has kernels and threads: {_mib(result['one_row'])}."
    )
    return f"{markdown(head, rows)}\n{base}\n"


def _mib(value: int) -> str:
    return f"{value / MIB:.1f} MiB"


_KINDS: Final[dict[str, Callable[[Any], str]]] = {"race": _race, "rates": _rates, "memory": _memory}


def _list(items: Iterable[str]) -> str:
    return "".join(f"- {item}\n" for item in items)


_HEAD: Final = """# Performance

How fast streameval is beside other ways to get the same number, measured in one run on one machine. Written by
`python -m benchmarks`; what is measured how, and what not to conclude, is in
[benchmarks/README.md](../benchmarks/README.md). The same races on a CPU with AMX are in [another
page](performance_amx.md).
"""

_BARS_NOTE: Final = """Ratios are those of medians, to the fastest peer of the same run. A bar is what must be
reached, a goal what was aimed at. A file larger than memory is
run by `python -m benchmarks.long_run`.
"""

_HOW: Final = """## Reproduce

From a clone, on a machine that does nothing else:

    pip install '.[bench,report]'
    python -m benchmarks --json results.json --markdown docs/performance.md

It takes 4 GB of disk. Real MNIST is used where `STREAMEVAL_MNIST` names a folder that holds it
with the article's `sample_weight.pkl`, else drawn digits and the demo's network. `--only seed` runs one workload,
`--quick` shows in a few minutes that everything works.
"""
