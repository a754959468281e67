"""Who listens to a pass hears each chunk once, in order, and how it ended; the examples listen."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import environment
from long_runs import ROOT, drawn, network, write

import streameval as se
from streameval.errors import LabelError, StorageError
from streameval.evaluation.evaluate import PassOptions
from streameval.evaluation.events import SCHEMA, EventFile

ROWS = 10_000
EXAMPLES = ROOT / "examples"


def example(name: str) -> Any:
    """A file of the examples as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_of_events_has_one_record_for_each_chunk(tmp_path: Path) -> None:
    """start, chunks that tile the rows, end; every record says its schema."""
    path = tmp_path / "events.ndjson"
    report = se.evaluate(
        network(), drawn(ROWS), chunk_rows=999, options=PassOptions(callbacks=[EventFile(path)])
    )
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert {record["schema"] for record in records} == {SCHEMA}
    assert [record["event"] for record in records] == ["start", *["chunk"] * 11, "end"]
    chunks = records[1:-1]
    assert [one["start"] for one in chunks] == [0, *(one["stop"] for one in chunks[:-1])]
    assert [one["rows"] for one in chunks] == [one["stop"] for one in chunks]
    assert chunks[-1]["loss"] == records[-1]["loss"] == report.loss
    assert records[-1]["digest"] == report.digest
    assert records[0]["total"] == ROWS
    assert records[0]["model"]["sha256"] == network().sha256
    losses = se.per_sample_losses(network(), drawn(ROWS))
    assert chunks[2]["loss"] == pytest.approx(losses[:2997].mean(), rel=1e-9)


def test_a_pass_that_ends_early_says_why_and_the_file_goes_on(tmp_path: Path) -> None:
    """The records of the next try follow in the same file."""
    path = tmp_path / "events.ndjson"
    x, t = drawn(ROWS)
    t[5000] = 9
    with pytest.raises(LabelError):
        se.evaluate(network(), (x, t), chunk_rows=999, options=PassOptions(callbacks=[EventFile(path)]))
    t[5000] = 0
    se.evaluate(network(), (x, t), options=PassOptions(callbacks=[EventFile(path)]))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    stop = next(record for record in records if record["event"] == "stop")
    assert stop["error"] == "LabelError"
    assert "row 5000" in stop["message"]
    assert records[-1]["event"] == "end"
    with pytest.raises(StorageError, match="no/events"):
        EventFile(tmp_path / "no" / "events")


def test_all_callbacks_hear_and_an_error_in_one_ends_the_pass() -> None:
    """In the order in which they were given."""
    heard: list[str] = []

    class Listener:
        def __init__(self, name: str, fails: bool = False) -> None:
            self.name, self.fails = name, fails

        def started(self, event: Any) -> None:
            heard.append(f"{self.name} started {event.done}/{event.total}")

        def advanced(self, event: Any) -> None:
            if self.fails:
                raise RuntimeError("no more")
            heard.append(f"{self.name} {event.rows}")

        def finished(self, report: Any) -> None:
            heard.append(f"{self.name} finished")

        def stopped(self, error: BaseException) -> None:
            heard.append(f"{self.name} stopped: {error}")

    se.evaluate(network(), drawn(10), options=PassOptions(callbacks=[Listener("a"), Listener("b")]))
    assert heard == ["a started 0/10", "b started 0/10", "a 10", "b 10", "a finished", "b finished"]
    heard.clear()
    with pytest.raises(RuntimeError, match="no more"):
        se.evaluate(network(), drawn(10), options=PassOptions(callbacks=[Listener("a", fails=True)]))
    assert heard == ["a started 0/10", "a stopped: no more"]


def test_the_log_says_when_a_pass_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through `logging`, under the name `streameval`; nothing is printed."""
    from streameval.evaluation.checkpoint import Checkpoint

    data, path = write(tmp_path / "drawn.arrow", ROWS), tmp_path / "kept"

    class Stop:
        def started(self, event: Any) -> None: ...

        def finished(self, report: Any) -> None: ...

        def stopped(self, error: BaseException) -> None: ...

        def advanced(self, event: Any) -> None:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        se.evaluate(
            network(),
            data,
            chunk_rows=999,
            options=PassOptions(checkpoint=Checkpoint(path, every=0.0), callbacks=[Stop()]),
        )
    with caplog.at_level(logging.DEBUG, logger="streameval"):
        se.evaluate(network(), data, options=PassOptions(checkpoint=Checkpoint(path, every=0.0)))
    assert any("going on after 999 of 10000 rows" in record.message for record in caplog.records)


def test_a_library_without_a_logger_is_silent(tmp_path: Path) -> None:
    """Warnings of the log do not reach stderr unless the program asks for them."""
    code = "import logging, streameval.evaluation.evaluate; logging.getLogger('streameval').warning('loud')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_prometheus_example_writes_metrics_that_a_node_exporter_reads(tmp_path: Path) -> None:
    """Each line is a name and a number, each name has its type, and the file appears whole."""
    path = tmp_path / "streameval.prom"
    report = se.evaluate(
        network(),
        drawn(ROWS),
        chunk_rows=999,
        options=PassOptions(callbacks=[example("prometheus_textfile").Textfile(path, every=0.0)]),
    )
    lines = path.read_text().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values["streameval_rows_total"]) == ROWS
    assert float(values["streameval_loss_nats"]) == report.loss
    assert float(values["streameval_finished"]) == 1
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == set(values)
    assert list(tmp_path.iterdir()) == [path]


def test_the_mlflow_example_logs_what_mlflow_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in with MLflow's own signatures: params, metrics by step, tags."""
    calls: list[tuple[str, Any]] = []

    class Mlflow:
        @staticmethod
        def log_params(params: dict[str, Any]) -> None:
            calls.append(("params", params))

        @staticmethod
        def log_metrics(metrics: dict[str, float], step: int | None = None) -> None:
            assert all(isinstance(value, float) for value in metrics.values())
            calls.append(("metrics", (step, metrics)))

        @staticmethod
        def set_tags(tags: dict[str, Any]) -> None:
            calls.append(("tags", tags))

        @staticmethod
        def log_dict(dictionary: dict[str, Any], artifact_file: str) -> None:
            json.dumps(dictionary)
            calls.append(("dict", artifact_file))

    monkeypatch.setitem(sys.modules, "mlflow", Mlflow)  # type: ignore[arg-type]
    callback = example("mlflow_callback").MlflowCallback(every=0.0)
    report = se.evaluate(network(), drawn(ROWS), chunk_rows=999, options=PassOptions(callbacks=[callback]))
    kinds = [kind for kind, _ in calls]
    assert kinds[0] == "params"
    assert kinds.count("metrics") == 12
    assert ("dict", "streameval-report.json") in calls
    final = [value for kind, value in calls if kind == "metrics"][-1]
    assert final[1]["loss"] == report.loss
    assert ("tags", {"streameval.digest": report.digest, "streameval.state": "finished"}) in calls


def test_the_slurm_jobs_compute_and_merge(tmp_path: Path) -> None:
    """Run as Slurm would: once for each number of the array, then the job that depends on it."""
    write(tmp_path / "data.arrow", ROWS)
    network().save(tmp_path / "model.safetensors")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "streameval"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m streameval "$@"\n')
    program.chmod(0o755)
    given = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "MODEL": str(tmp_path / "model.safetensors"),
        "DATA": str(tmp_path / "data.arrow"),
        "OUT": str(tmp_path / "out"),
        "SHARDS": "3",
        "SLURM_ARRAY_TASK_COUNT": "1",  # each as if queued again alone
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_MEM_PER_NODE": "1024",
    }
    for index in range(3):
        env = environment(**given, SLURM_ARRAY_TASK_ID=str(index))
        subprocess.run(["sh", "-e", EXAMPLES / "slurm_shards.sh"], env=env, check=True, capture_output=True)
    done = subprocess.run(
        ["sh", "-e", EXAMPLES / "slurm_merge.sh"], env=environment(**given), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["digest"] == se.evaluate(network(), tmp_path / "data.arrow").digest


def test_the_signal_of_slurm_reaches_the_evaluation(tmp_path: Path) -> None:
    """Slurm signals the process of the batch script: that one must be the evaluation."""
    program = tmp_path / "streameval"
    program.write_text('#!/bin/sh\necho "$$" > "$OUT/pid"\n')
    program.chmod(0o755)
    given = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path), "MODEL": "m", "DATA": "d"}
    env = environment(**given, SLURM_ARRAY_TASK_ID="0", SLURM_CPUS_PER_TASK="1")
    with subprocess.Popen(["sh", EXAMPLES / "slurm_shards.sh"], env=env) as task:
        assert task.wait(60) == 0
    assert int((tmp_path / "pid").read_text()) == task.pid
    assert "#SBATCH --signal=B:TERM@" in (EXAMPLES / "slurm_shards.sh").read_text()


def test_the_kubernetes_job_is_an_indexed_job_whose_parts_fit_together() -> None:
    """Completions, the count in the command and the merge agree; memory limits leave room for imports."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    shards, merge = list(yaml.safe_load_all((EXAMPLES / "kubernetes_shards.yaml").read_text()))
    spec = shards["spec"]
    assert spec["completionMode"] == "Indexed"
    container = spec["template"]["spec"]["containers"][0]
    assert spec["template"]["spec"]["restartPolicy"] in ("OnFailure", "Never")
    command = " ".join(container["args"])
    assert f"/{spec['completions']} " in command
    assert "$(JOB_COMPLETION_INDEX)" in command
    assert "--checkpoint" in command
    assert "merge" in " ".join(merge["spec"]["template"]["spec"]["containers"][0]["args"])


def test_numbers_in_events_are_plain(tmp_path: Path) -> None:
    """No NumPy type reaches a callback: JSON would not take it."""
    path = tmp_path / "events"
    rows = np.arange(100)[::-1]
    se.evaluate(network(), drawn(200), rows=rows, options=PassOptions(callbacks=[EventFile(path)]))
    assert json.loads(path.read_text().splitlines()[-1])["rows"] == 100
