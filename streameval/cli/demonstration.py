"""The demo: full loss and mini-batch losses of the same network on the same drawn digits, side by side.

Knows the story that is told. Does not know how any number in it is computed.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streameval.arguments import integer
from streameval.files import storage_errors
from streameval.frozen import frozen
from streameval.reports.numbers import bytes_, confidence, count, nats, percent, rate, seconds
from streameval.reports.terminal import INDENT, TextStyle, numbered, paragraph, table

if TYPE_CHECKING:
    from streameval.evaluation.report import Report
    from streameval.reports.progress import Progress
    from streameval.studies.minibatch import MiniBatches
    from streameval.studies.sampler import MiniBatch

SCHEMA = "streameval/demo/1"
LEVEL = 0.95
DIGITS, NETWORK = "digits.arrow", "network.safetensors"
IDX = "train-images-idx3-ubyte"


@frozen
class Demonstration:
    """What was seen: the full evaluation, the mini-batches, the size of the file, seconds to draw it and to read
    the batches, the folder that was kept, and the folder of real MNIST if one is at hand."""

    full: Report
    batches: MiniBatches
    file_bytes: int
    seconds_drawing: float
    seconds_batches: float
    kept: str | None
    mnist: str | None

    @property
    def covered(self) -> int:
        """Batches whose interval holds the full loss."""
        return sum(_covers(one, self.full) for one in self.batches.batches)

    @property
    def expected_error(self) -> float:
        """Standard error of one batch, as a share of the full loss: sd / sqrt(size) / loss."""
        return (self.full.stddev or 0.0) / math.sqrt(self.batches.batches[0].size) / (self.full.loss or 1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `full` and `minibatch` carry the names of those commands."""
        return {
            "schema": SCHEMA,
            "full": self.full.to_dict(),
            "minibatch": self.batches.to_dict(),
            "covered": self.covered,
            "expected_error": self.expected_error,
            "file_bytes": self.file_bytes,
            "seconds_drawing": self.seconds_drawing,
            "seconds_batches": self.seconds_batches,
            "kept": self.kept,
            "mnist": self.mnist,
        }


def run(
    *,
    rows: int,
    size: int,
    batches: int,
    seed: int,
    threads: int | None,
    keep: str | None,
    progress: Progress,
) -> Demonstration:
    """Draw, evaluate, take mini-batches. What was written stays in the folder `keep`, or is removed.

    Errors are those of the three.
    """
    from streameval.cli.inputs import load_model, open_data
    from streameval.cli.kernels import announce, ready
    from streameval.datasets.digits import demo_network_path, digits, draw
    from streameval.evaluation.evaluate import evaluate
    from streameval.studies.minibatch import minibatch

    rows = integer("rows", rows, least=1)
    announce()
    draw(0, 1, seed=seed)
    network = load_model(str(demo_network_path()))
    with _folder(keep) as folder:
        start = time.perf_counter()
        path = digits(folder / DIGITS, rows=rows, seed=seed, progress=progress)
        drawn = time.perf_counter() - start
        if keep is not None:
            network.save(folder / NETWORK)
        source = open_data(str(path))
        ready(source, network)
        full = evaluate(network, source, threads=threads)
        minibatch(network, source, size=size, seed=seed)  # so that loading its kernels is not timed
        start = time.perf_counter()
        taken = minibatch(
            network, source, size=size, batches=batches, seed=seed, level=LEVEL, threads=threads
        )
        took = time.perf_counter() - start
        return Demonstration(full, taken, path.stat().st_size, drawn, took, keep, _mnist())


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    """The folder to keep, made if need be, or one that is removed at the end."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="streameval-") as folder:
            yield Path(folder)
    else:
        with storage_errors(keep):
            Path(keep).mkdir(parents=True, exist_ok=True)
        yield Path(keep)


def text(seen: Demonstration, style: TextStyle) -> str:
    """The story, for someone who reads it for the first time."""
    full, rows, size = seen.full, count(seen.full.rows), seen.batches.batches[0].size
    layers = "-".join(map(str, full.model.describe()["layers"]))
    lines = [style.bold("The loss over all rows, and what a mini-batch says of it"), ""]
    lines += numbered(
        f"1. {rows} handwritten-like digits were drawn into an Arrow file of {bytes_(seen.file_bytes)}, in "
        f"{seconds(seen.seconds_drawing)}.",
        style,
    )
    lines += numbered(
        f"2. A small network ({layers}) that ships with the package read all of them, straight from the mapped file, "
        f"in {seconds(full.resources.seconds)}: {rate(full.resources.rows_per_second)}.",
        style,
    )
    lines += [
        "",
        f"{INDENT}full loss   {style.bold(nats(full.loss, 6))} nats, over {rows} rows: exact, no estimate",
    ]
    lines += [f"{INDENT}accuracy    {percent(full.accuracy)}", ""]
    lines += numbered(
        f"3. {len(seen.batches.batches)} mini-batches of {count(size)} random rows were drawn from the same file. Each "
        f"gives a loss, and an interval that should hold the full loss in {confidence(LEVEL)} of cases:",
        style,
    )
    lines += ["", *_rows(seen, style), "", *_closing(seen, style)]
    return style.finish(lines)


def _rows(seen: Demonstration, style: TextStyle) -> list[str]:
    loss = seen.full.loss or 0.0
    body = [
        (
            str(number),
            nats(one.loss),
            f"{100 * (one.loss / loss - 1):+.0f} %" if loss else "",
            f"{nats(one.interval.low)} … {nats(one.interval.high)}",
            "yes" if _covers(one, seen.full) else "NO",
        )
        for number, one in enumerate(seen.batches.batches, start=1)
    ]
    return table(("batch", "loss", "off by", "interval", "holds the full loss"), body, style)


def _closing(seen: Demonstration, style: TextStyle) -> list[str]:
    size, total = seen.batches.batches[0].size, len(seen.batches.batches)
    tenth = size * (10 * seen.expected_error) ** 2
    lines = paragraph(
        f"{seen.covered} of {total} intervals hold the full loss. One batch of {count(size)} is typically "
        f"{percent(seen.expected_error, 0)} off: the losses of single rows vary that much. To be 10 % off, a batch "
        f"would need about {count(round(tenth))} rows. The batches together took {seconds(seen.seconds_batches)}, "
        f"the full pass {seconds(seen.full.resources.seconds)}.",
        style,
    )
    lines += [
        "",
        *paragraph(f"The same on any machine, with any number of threads: digest {seen.full.digest}", style),
    ]
    if seen.kept is not None:
        lines += ["", *paragraph("The digits and the network were kept. Try:", style)]
        lines += [f"{INDENT}streameval evaluate {seen.kept}/{NETWORK} {seen.kept}/{DIGITS}"]
    if seen.mnist is not None:
        lines += [
            "",
            *paragraph("Real MNIST is at hand. Try:", style),
            f"{INDENT}streameval fetch mnist mnist --from {seen.mnist}",
            f"{INDENT}streameval evaluate {seen.mnist}/sample_weight.pkl mnist/train.arrow",
        ]
    return lines


def _covers(one: MiniBatch, full: Report) -> bool:
    return full.loss is not None and full.loss in one.interval


def _mnist() -> str | None:
    """The folder that STREAMEVAL_MNIST names, if the files are there."""
    folder = os.environ.get("STREAMEVAL_MNIST")
    there = folder and any((Path(folder) / f"{IDX}{end}").is_file() for end in ("", ".gz"))
    return folder if there else None
