"""Metrics of a running evaluation for Prometheus, through the node exporter's textfile collector.

python examples/prometheus_textfile.py MODEL DATA /var/lib/node_exporter/streameval.prom
"""

from __future__ import annotations

import sys
import time

import streameval as se
from streameval.evaluation.events import Advanced, Started
from streameval.files import atomic_file


class Textfile:
    """A callback that keeps a .prom file up to date; it is replaced as a whole, at most every few seconds."""

    def __init__(self, path: str, every: float = 5.0) -> None:
        self.path = path
        self.every = every
        self.next = 0.0
        self.metrics: dict[str, tuple[str, float]] = {}

    def started(self, event: Started) -> None:
        self.metrics["streameval_rows_expected"] = ("gauge", event.total)
        self.metrics["streameval_finished"] = ("gauge", 0)

    def advanced(self, event: Advanced) -> None:
        self.metrics["streameval_rows_total"] = ("counter", event.rows)
        self.metrics["streameval_rows_per_second"] = ("gauge", event.rows_per_second)
        if event.loss is not None:
            self.metrics["streameval_loss_nats"] = ("gauge", event.loss)
        if time.monotonic() >= self.next:
            self.write()
            self.next = time.monotonic() + self.every

    def finished(self, report: se.Report) -> None:
        self.metrics["streameval_finished"] = ("gauge", 1)
        self.write()

    def stopped(self, error: BaseException) -> None:
        self.write()

    def write(self) -> None:
        with atomic_file(self.path) as file:
            for name, (kind, value) in self.metrics.items():
                file.write(f"# TYPE {name} {kind}\n{name} {value!r}\n".encode())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model, data, metrics = sys.argv[1:]
    print(se.evaluate(se.load_model(model), data, options=se.PassOptions(callbacks=[Textfile(metrics)])).loss)
