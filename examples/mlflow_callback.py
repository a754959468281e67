"""An evaluation as an MLflow run: parameters, the running loss by step, the report as an artifact.

pip install mlflow
python examples/mlflow_callback.py MODEL DATA
"""

from __future__ import annotations

import sys
import time

import mlflow

import streameval as se
from streameval.evaluation.events import Advanced, Started


class MlflowCallback:
    """A callback that logs to the active run, at most every few seconds."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        self.next = 0.0

    def started(self, event: Started) -> None:
        mlflow.log_params(
            {
                "model": event.model_path,
                "model_sha256": event.model_sha256,
                "data": event.data,
                "loss": str(event.loss),
            }
        )

    def advanced(self, event: Advanced) -> None:
        if event.loss is not None and time.monotonic() >= self.next:
            mlflow.log_metrics(
                {"running_loss": event.loss, "rows_per_second": event.rows_per_second}, step=event.rows
            )
            self.next = time.monotonic() + self.every

    def finished(self, report: se.Report) -> None:
        if report.loss is not None and report.accuracy is not None:
            mlflow.log_metrics({"loss": report.loss, "accuracy": report.accuracy})
        mlflow.log_dict(report.to_dict(), "streameval-report.json")
        mlflow.set_tags({"streameval.digest": report.digest, "streameval.state": "finished"})

    def stopped(self, error: BaseException) -> None:
        mlflow.set_tags({"streameval.state": f"stopped: {type(error).__name__}"})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with mlflow.start_run():
        model, options = se.load_model(sys.argv[1]), se.PassOptions(callbacks=[MlflowCallback()])
        print(se.evaluate(model, sys.argv[2], options=options).loss)
