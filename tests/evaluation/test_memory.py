"""A pass stays within the memory that it was given: the system says so, not the program."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import needs_proc
from hypothesis import given, settings
from hypothesis import strategies as st
from long_runs import ROOT, network, run, write

import streameval as se
from streameval.defaults import CHUNK_ROWS, IO, LONG_CHUNK_ROWS
from streameval.errors import StorageError, UsageError
from streameval.evaluation.memory import parse_size, plan, planned_scorers
from streameval.losses import CrossEntropy
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.storage.writing import create

ROWS, SHAPE = 120_000, (28, 28)
MIB = 1 << 20
# A process with its imports, kernels and 24 MiB for a pass; not the file's 90 MiB too.
CGROUP = 120 * MIB


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 MiB of 28 x 28 pixels, and a network for them."""
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)

    def batches() -> Any:
        for _ in range(ROWS // 10_000):
            yield draw.integers(0, 256, (10_000, *SHAPE), dtype=np.uint8), draw.integers(0, 10, 10_000)

    layers = [(784, 50, "sigmoid"), (50, 100, "sigmoid"), (100, 10, "identity")]
    weights = [(draw.normal(size=(a, b)) * 0.1, np.zeros(b), name) for a, b, name in layers]
    se.Mlp([se.Layer(*one) for one in weights]).save(folder / "model.safetensors")
    return create(folder / "big.arrow", batches(), rows=ROWS, shape=SHAPE, dtype=np.uint8, classes=10)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256M", 256 * MIB),
        ("1.5 GiB", 3 << 29),
        ("64k", 65536),
        ("100", 100),
        (7, 7),
        ("2gb", 2 << 30),
        ("1MiB", MIB),
    ],
)
def test_sizes_are_read_as_people_write_them(text: int | str, size: int) -> None:
    """Powers of 1024."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1M", "0", "1X", "1e9", "nan", 0, -5])
def test_what_is_no_size_is_refused(text: int | str) -> None:
    """With an example of one."""
    with pytest.raises(UsageError, match="such as 256M"):
        parse_size(text)


def test_chunks_are_long_only_where_a_small_network_meets_rows_in_memory(data: Path) -> None:
    """Where rows are read, where memory is limited, and for whoever computes more a row, they are as ever."""
    small, large = se.load_model(data.parent / "model.safetensors"), _dense(784, 100, 10)
    x, t = np.zeros((8, 784), np.uint8), np.arange(8)
    in_memory, loss, free = se.open((x, t)), CrossEntropy(), Budget(threads=1)

    def rows(model: Any, source: Any, budget: Budget = free, asked: int | None = None) -> int:
        return planned_scorers([model], source, loss, budget, asked)[1]

    assert rows(small, in_memory) == LONG_CHUNK_ROWS
    assert rows(small, in_memory, asked=1000) == 1000
    assert rows(small, in_memory, Budget(threads=1, max_memory=1 << 30)) == CHUNK_ROWS
    assert rows(small, se.open(data)) == rows(small, se.open(data, io="pread")) == CHUNK_ROWS
    assert rows(large, in_memory) == CHUNK_ROWS
    predictor = se.Predictor(predict=lambda x: x[:, :10] * 0.1, returns="logits", outputs=10)
    assert rows(predictor, in_memory) == CHUNK_ROWS


def _dense(*sizes: int) -> se.Mlp:
    return se.Mlp(
        [
            se.Layer(np.zeros((a, b), np.float32), np.zeros(b, np.float32), "identity")
            for a, b in itertools.pairwise(sizes)
        ]
    )


@settings(deadline=None)
@given(st.integers(1, 1 << 31), st.integers(1, 1 << 20), st.integers(1, 64))
def test_a_plan_is_within_the_limit_and_wastes_nothing(limit: int, chunk_rows: int, threads: int) -> None:
    """Never more than was asked for or allowed; one row more, or one thread more, would not fit."""
    x = np.zeros((4, 4, 4), np.uint8)
    source, model = se.open((x, np.zeros(4, np.int64))), network()
    # The scratch of so many threads is planned, never taken: as many as are wanted, whatever this machine has.
    one, many = (make_scorer(model, source, CrossEntropy(), Budget(count)) for count in (1, threads))
    wanted = {"limit": limit, "chunk_rows": chunk_rows, "numbers_bytes": 0}
    least = plan([one], source, limit=1 << 40, chunk_rows=1, numbers_bytes=0).bytes
    if limit < least:
        with pytest.raises(StorageError, match=f"takes {least} with this model"):
            plan([many], source, **wanted)
        return
    found = plan([many], source, **wanted)
    assert found.bytes <= limit
    assert 1 <= found.chunk_rows <= chunk_rows
    assert 1 <= found.threads <= threads
    if found.threads == threads and found.chunk_rows < chunk_rows:
        more = plan([many], source, limit=1 << 40, chunk_rows=found.chunk_rows + 1, numbers_bytes=0)
        assert (more.chunk_rows, more.threads) == (found.chunk_rows + 1, threads)
        assert more.bytes > limit


def test_the_memory_changes_nothing_of_the_result(data: Path) -> None:
    """Small chunks, one digest; the report says what was allowed and what was used."""
    model = se.load_model(data.with_name("model.safetensors"))
    whole = se.evaluate(model, data)
    for io in IO[1:]:
        small = se.evaluate(model, se.open(data, io=io), max_memory="32M")
        assert small.digest == whole.digest
        found = small.to_dict()["resources"]
        assert found["max_memory_bytes"] == 32 * MIB
        assert found["peak_anon_bytes"] + found["peak_file_bytes"] <= found["base_bytes"] + 32 * MIB


def test_too_little_memory_is_refused_before_anything_is_read(data: Path) -> None:
    """5, with what would be needed; the file is not even touched by the kernels."""
    model = se.load_model(data.with_name("model.safetensors"))
    with pytest.raises(StorageError, match=r"max_memory: 1048576 bytes, but .* Allow more memory") as caught:
        se.evaluate(model, data, max_memory="1M")
    assert caught.value.exit_code == 5
    with pytest.raises(StorageError, match="to prepare this model"):
        se.evaluate(model, data, max_memory="1k")


LIMITED = """
    import json, resource, sys
    import numpy as np
    import streameval as se

    path, io, budget, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    model = se.load_model(path.replace("big.arrow", "model.safetensors"))
    # What a process holds before a pass: imports, kernels, threads, those that read too.
    se.evaluate(model, se.open((np.zeros((999, 28, 28), "u1"), np.zeros(999, int))))
    data = se.open(path, io=io)
    data.fingerprint
    se.evaluate(model, data, rows=slice(0, 100))
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    limit = 1024 * int(lines["VmData"].split()[0]) + budget
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    print(se.evaluate(model, data, **options).digest)
"""


@pytest.mark.parametrize("io", IO[1:])
def test_a_pass_runs_under_a_limit_of_the_system(data: Path, io: str) -> None:
    """RLIMIT_DATA: memory beyond it is not given out. Large chunks break it where whole chunks are read."""
    model = se.load_model(data.with_name("model.safetensors"))
    done = run(LIMITED, data, io, 24 * MIB, json.dumps({"max_memory": 24 * MIB, "chunk_rows": 200_000}))
    assert done.stdout.strip() == se.evaluate(model, data).digest, done.stderr
    broken = run(LIMITED, data, io, 24 * MIB, json.dumps({"chunk_rows": 200_000}))
    if io == "pread":  # the limit is a real one
        assert "MemoryError" in broken.stderr
        assert broken.returncode == 1


# What a cgroup's memory limit is called, by version.
LIMIT_FILES = {2: "memory.max", 1: "memory.limit_in_bytes"}


def cgroup(version: int) -> Path:
    """A child of this process's cgroup with a memory limit, or a skip that says why there is none."""
    root = Path("/sys/fs/cgroup") if version == 2 else Path("/sys/fs/cgroup/memory")
    lines = Path("/proc/self/cgroup").read_text().splitlines() if sys.platform == "linux" else []
    entries = [line.split(":", 2) for line in lines]
    own = next((path for _, names, path in entries if names == ("" if version == 2 else "memory")), None)
    mark = "cgroup.controllers" if version == 2 else "memory.limit_in_bytes"
    if own is None or not (root / mark).exists():
        pytest.skip(f"no memory cgroups of version {version} here: run where {root} holds them")
    folder = root / own.lstrip("/") / f"streameval-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    if not (folder / LIMIT_FILES[version]).exists():
        folder.rmdir()
        pytest.skip("this cgroup hands no memory controller on to its children")
    return folder


@needs_proc
@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system cannot be asked to forget a file")
@pytest.mark.parametrize("version", [2, 1])
@pytest.mark.parametrize("io", IO[1:])
def test_a_pass_runs_in_a_cgroup_of_bounded_memory(data: Path, version: int, io: str) -> None:
    """Page cache counts there too: the system takes pages back, the pass goes on; what else takes more is killed."""
    folder = cgroup(version)
    enter = "import os, sys\n    open(sys.argv[5], 'w').write(str(os.getpid()))\n    "
    try:
        (folder / LIMIT_FILES[version]).write_text(str(CGROUP))
        model = se.load_model(data.with_name("model.safetensors"))
        options = json.dumps({"max_memory": 24 * MIB})
        procs = folder / "cgroup.procs"
        with data.open("rb") as file:  # so that the pages are brought in, and paid for, by the process
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        done = run("    " + enter + LIMITED.strip(), data, io, 24 * MIB, options, procs)
        assert done.stdout.strip() == se.evaluate(model, data).digest, done.stderr
        greedy = run(f"    {enter}print(len(b'x' * {CGROUP}))", data, io, 0, "", procs)
        assert greedy.returncode == -signal.SIGKILL, "the limit is a real one"
    finally:
        folder.rmdir()


@needs_proc
@pytest.mark.parametrize("without", ["", "madvise"])
def test_pages_behind_the_reader_are_given_back(
    data: Path, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resident pages of a file do not grow with it: far less than its 90 MiB, where none can be given back too."""
    if without:
        monkeypatch.setenv("TESTS_WITHOUT", without)
        monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "without"))
    code = """
        import sys
        import streameval as se
        from streameval.system import memory_in_use as memory
        model = se.load_model(sys.argv[1].replace("big.arrow", "model.safetensors"))
        se.evaluate(model, sys.argv[1], rows=slice(0, 10))
        before = memory()["RssFile"]
        report = se.evaluate(model, sys.argv[1], max_memory="32M")
        print(report.resources.peak_file_bytes - before)
    """
    done = run(code, data)
    assert int(done.stdout) < 32 * MIB, done.stderr


@needs_proc
def test_small_files_are_given_back_too_when_memory_is_short(tmp_path: Path) -> None:
    """Up to 64 MiB stay mapped otherwise."""
    path = write(tmp_path / "small.arrow", 3_000_000)  # 46 MiB
    code = """
        import sys
        sys.path.insert(0, "tests")
        import streameval as se
        from long_runs import network
        from streameval.system import memory_in_use as memory
        se.evaluate(network(), sys.argv[1], rows=slice(0, 10))
        before = memory()["RssFile"]
        limit = sys.argv[2] or None
        print(se.evaluate(network(), sys.argv[1], max_memory=limit).resources.peak_file_bytes - before)
    """
    assert int(run(code, path, "24M").stdout) < 24 * MIB
    assert int(run(code, path, "").stdout) > 40 * MIB
