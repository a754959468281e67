"""What streameval sets out to reach, and whether a run reached it.

Knows the table of bars. Does not know how anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.results import Result, Results, by_who, fastest_peer, ours, rate

MIB = 2**20
ALONE = "streameval, one call a batch"


@dataclass(frozen=True)
class Found:
    """What a run came to: in words, whether that meets the bar, and the goal beyond it."""

    text: str
    bar: bool
    goal: bool

    @property
    def verdict(self) -> str:
        """One or two words."""
        return "goal met" if self.bar and self.goal else "met" if self.bar else "not met"


@dataclass(frozen=True)
class Bar:
    """One line of the table; `find` gives None where the run did not measure it."""

    result: str
    workload: str
    bar: str
    goal: str
    find: Callable[[Result], Found | None]


def found(bar: Bar, results: Results) -> Found | None:
    """What the results say about the bar, None if they do not hold it."""
    return bar.find(results[bar.result]) if bar.result in results else None


def _ratio(least: float, goal: float) -> Callable[[Result], Found | None]:
    """How many times faster than the fastest peer."""

    def find(result: Result) -> Found | None:
        mine, peer = ours(result), fastest_peer(result)
        if mine is None or peer is None:
            return None
        times = peer["median"] / mine["median"]
        return Found(f"{times:.2f} x the speed of {peer['who']}", times >= least, times >= goal)

    return find


def _minibatch(result: Result) -> Found | None:
    """Judged by a batch that has a call of its own; what batches cost that share a call is said beside it."""
    together, alone, peer = ours(result), by_who(result, ALONE), fastest_peer(result)
    if together is None or alone is None or peer is None:
        return None
    times, shared = peer["median"] / alone["median"], peer["median"] / together["median"]
    text = f"{times:.2f} x the speed of {peer['who']} in a call of its own, {shared:.2f} x where 200 share a call"
    return Found(text, times >= 2.0, times >= 4.0)


def _process(result: Result) -> Found | None:
    mine, torch = ours(result), by_who(result, "PyTorch")
    if mine is None:
        return None
    seconds = mine["median"]
    times = torch["median"] / seconds if torch is not None and torch["right"] else None
    beside = "PyTorch not measured" if times is None else f"{times:.1f} x the speed of PyTorch's"
    met = times is not None and times >= 2.0
    return Found(f"{seconds:.2f} s, {beside}", met and seconds <= 0.8, met and seconds <= 0.5)


def _first_run(result: Result) -> Found | None:
    mine = ours(result)
    return (
        None if mine is None else Found(f"{mine['median']:.1f} s", mine["median"] <= 20, mine["median"] <= 8)
    )


def _memory(result: Result) -> Found | None:
    most = max(line["over_imports"] for line in result["lines"])
    sizes = ", ".join(
        f"{line['over_imports'] / MIB:.1f} MiB for {line['rows']:,} rows" for line in result["lines"]
    )
    return Found(sizes, most <= 64 * MIB, most <= 16 * MIB)


def _reading(result: Result) -> Found | None:
    mapped, cached = by_who(result, "mapped file"), by_who(result, "the same evaluation")
    if mapped is None or cached is None:
        return None
    share = rate(mapped) / rate(cached)
    return Found(f"{share:.3f} (file in the page cache)", share >= 0.9, share >= 0.97)


def _linear(result: Result) -> Found | None:
    costs = [1.0 / rate(line) for line in result["lines"]]
    rows = [line["rows"] for line in result["lines"]]
    off = max(abs(cost / costs[-1] - 1.0) for cost in costs)
    text = f"cost of a row within {100 * off:.1f} % of that at {rows[-1]:,} rows, from {rows[0]:,} rows on"
    return Found(text, off <= 0.05, off <= 0.05)


BARS: Final = (
    Bar("seed", "784-50-100-10 sigmoid, uint8, in process, warm", "3 x faster", "5 x", _ratio(3.0, 5.0)),
    Bar("relu", "784-512-256-10 ReLU, uint8", "as fast", "1.7 x faster", _ratio(1.0, 1.7)),
    Bar("tanh", "784-(128 x 6)-10 tanh, uint8", "as fast", "1.7 x faster", _ratio(1.0, 1.7)),
    Bar("floats", "64-256-256-4 ReLU, float32", "as fast", "1.2 x faster", _ratio(1.0, 1.2)),
    Bar("lenet", "LeNet-5 (tanh, average pooling), 28 x 28 uint8", "2 x faster", "3 x", _ratio(2.0, 3.0)),
    Bar("simpleconv", "SimpleConvNet, 28 x 28 uint8", "1.4 x faster", "2 x", _ratio(1.4, 2.0)),
    Bar("pytorch-mnist", "PyTorch's MNIST example, 28 x 28 uint8", "1.3 x faster", "2 x", _ratio(1.3, 2.0)),
    Bar("deepconv", "DeepConvNet, 28 x 28 uint8", "1.3 x faster", "2 x", _ratio(1.3, 2.0)),
    Bar("resnet8", "ResNet-8, 32 x 32 x 3 uint8", "1.2 x faster", "1.8 x", _ratio(1.2, 1.8)),
    Bar(
        "minibatch",
        "one mini-batch of 100 random rows; streameval's with an interval",
        "2 x faster",
        "4 x",
        _minibatch,
    ),
    Bar(
        "process",
        "whole process, warm cache, 60,000 rows",
        "0.8 s, and 2 x faster than PyTorch's",
        "0.5 s",
        _process,
    ),
    Bar("first-run", "first run ever, all compilation included", "20 s", "8 s", _first_run),
    Bar("memory", "anonymous memory over the imports' own, any number of rows", "64 MiB", "16 MiB", _memory),
    Bar("reading", "rows a second from a mapped file, against rows in cache", "0.9", "0.97", _reading),
    Bar("scaling", "cost against rows", "linear within 5 %", "", _linear),
)
