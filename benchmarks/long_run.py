"""A file larger than memory, drawn, evaluated within a fixed budget, watched from outside, and removed.

    python -m benchmarks.long_run                      # 32 million rows, 25 GB
    python -m benchmarks.long_run --rows 2000000       # a rehearsal

Writes long_run.json, long_run.md and, with streameval[report], long_run.png: memory over time, rows a second against
the same kernel on a cached file, time against rows. Knows the command line and /proc. Does not know the library.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STREAMEVAL = (sys.executable, "-m", "streameval")
MODEL = ROOT / "streameval" / "datasets" / "demo.safetensors"
ROW_BYTES = 28 * 28 + 1
ROWS = 32_000_000
CACHED_ROWS = 1_000_000
SIZES = (60_000, 250_000, 1_000_000, 4_000_000, 16_000_000)
PERIOD = 0.05
SPARE = 1 << 30


@dataclass(frozen=True)
class Watched:
    """One run of `streameval evaluate`: what it reported, and what was seen from outside.

    wall     seconds from start to end of the process, imports and kernels included
    samples  (seconds, anonymous bytes, file-backed bytes) of the process while it ran
    """

    rows: int
    wall: float
    report: dict[str, Any]
    samples: list[tuple[float, int, int]]

    @property
    def seconds(self) -> float:
        """Of the pass alone."""
        return float(self.report["resources"]["seconds"])

    @property
    def rate(self) -> float:
        """Rows a second of the pass."""
        return self.rows / self.seconds

    def peak(self, column: int) -> int:
        """The largest sample: 1 anonymous, 2 file-backed."""
        return max((sample[column] for sample in self.samples), default=0)


def main(arguments: list[str] | None = None) -> int:
    """Run everything; the drawn file is removed whatever happens."""
    wish = _parser().parse_args(arguments)
    wish.out.mkdir(parents=True, exist_ok=True)
    with _drawn(wish.rows, wish.folder, wish.keep) as (path, drawing):
        say("reading the file alone, from the disk")
        disk = _disk_rate(path)
        rows = min(CACHED_ROWS, wish.rows)
        evaluate(path, wish.max_memory, rows)
        cached = max((evaluate(path, wish.max_memory, rows) for _ in range(3)), key=lambda one: one.rate)
        sizes = [size for size in SIZES if size < wish.rows]
        steps = []
        for size in (*sizes, None):
            # Every size from the disk: with some of them in memory, two regimes would be compared.
            forget(path)
            steps.append(evaluate(path, wish.max_memory, size))
        whole = steps[-1]
        file_bytes = path.stat().st_size
    found = {
        "schema": "streameval/long-run/1",
        "rows": wish.rows,
        "file_bytes": file_bytes,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "cpus": len(os.sched_getaffinity(0)),
        "max_memory": wish.max_memory,
        "drawing_seconds": drawing,
        "disk_bytes_per_second": disk,
        "cached_rows_per_second": cached.rate,
        "steps": [asdict(step) | {"samples": []} for step in steps],
        "samples": whole.samples,
    }
    (wish.out / "long_run.json").write_text(json.dumps(found) + "\n")
    text = table(found, steps, cached)
    (wish.out / "long_run.md").write_text(text)
    print(text)
    plot(wish.out / "long_run.png", steps, cached, found)
    return 0 if _within(whole) else 1


def evaluate(path: Path, max_memory: str, rows: int | None) -> Watched:
    """Run `streameval evaluate` over the first `rows` rows, or all, and watch it."""
    say(f"evaluating {f'{rows:,}' if rows is not None else 'all'} rows")
    part = () if rows is None else ("--rows", f"0:{rows}")
    command = (*STREAMEVAL, "evaluate", str(MODEL), str(path), "--max-memory", max_memory, *part, "--json")
    samples: list[tuple[float, int, int]] = []
    with tempfile.TemporaryFile() as out:
        begin = time.perf_counter()
        with subprocess.Popen(command, cwd=ROOT, stdout=out) as child:
            while child.poll() is None:
                found = _memory(child.pid)
                if found is not None:
                    samples.append((time.perf_counter() - begin, *found))
                time.sleep(PERIOD)
        wall = time.perf_counter() - begin
        if child.returncode:
            raise SystemExit(f"{' '.join(command)}: ended with {child.returncode}")
        out.seek(0)
        report = json.loads(out.read())
    return Watched(report["rows"], wall, report, samples)


def table(found: dict[str, Any], steps: list[Watched], cached: Watched) -> str:
    """What was found, as Markdown."""
    gib = found["file_bytes"] / 2**30
    lines = [
        f"{found['rows']:,} drawn rows of 28 x 28 pixels, {gib:.1f} GiB, on a machine with "
        f"{found['memory_bytes'] / 2**30:.1f} GiB of memory and {found['cpus']} CPUs, "
        f"`--max-memory {found['max_memory']}`. Repeat it: `python -m benchmarks.long_run --rows {found['rows']}`.",
        "",
        "Each size read from the disk, nothing of the file in memory before:",
        "",
        "| rows | seconds | rows/s | ns/row | peak anonymous MiB | peak file-backed MiB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for step in steps:
        lines.append(
            f"| {step.rows:,} | {step.seconds:.3f} | {step.rate:,.0f} | {1e9 / step.rate:.0f} "
            f"| {step.peak(1) / 2**20:.0f} | {step.peak(2) / 2**20:.0f} |"
        )
    whole = steps[-1]
    used = whole.report["resources"]
    beyond = used["peak_anon_bytes"] + used["peak_file_bytes"] - used["base_bytes"]
    lines += [
        "",
        f"- The same kernel on a cached file of {cached.rows:,} rows: {cached.rate:,.0f} rows/s; the whole file "
        f"from the disk ran at {100 * whole.rate / cached.rate:.0f} % of that.",
        f"- The disk alone, read in order: {found['disk_bytes_per_second'] / 1e6:,.0f} MB/s, enough for "
        f"{found['disk_bytes_per_second'] / ROW_BYTES:,.0f} rows/s; the pass read {whole.rate * ROW_BYTES / 1e6:,.0f} "
        "MB/s.",
        f"- Beyond what the process held when the pass began (imports, kernels: {used['base_bytes'] / 2**20:.0f} MiB) "
        f"it took {beyond / 2**20:.0f} MiB, of {used['max_memory_bytes'] / 2**20:.0f} MiB allowed.",
        f"- Digest `{whole.report['digest']}`.",
        "",
    ]
    return "\n".join(lines)


def plot(path: Path, steps: list[Watched], cached: Watched, found: dict[str, Any]) -> None:
    """Draw memory over time and time against rows, if matplotlib is there."""
    try:
        import matplotlib
    except ImportError:
        say("no picture: matplotlib is not installed. Type: pip install 'streameval[report]'")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    whole = steps[-1]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    times = [sample[0] for sample in whole.samples]
    for column, name in ((1, "anonymous"), (2, "file-backed")):
        left.plot(times, [sample[column] / 2**20 for sample in whole.samples], label=name)
    base, limit = whole.report["resources"]["base_bytes"], whole.report["resources"]["max_memory_bytes"]
    left.axhline(
        (base + limit) / 2**20, color="grey", linestyle="--", label="budget for both, imports included"
    )
    left.set(
        xlabel="seconds", ylabel="resident MiB", ylim=(0, None),
        title=f"memory while {whole.rows:,} rows ({found['file_bytes'] / 2**30:.1f} GiB) pass",
    )  # fmt: skip
    left.legend()
    rows = [step.rows for step in steps]
    right.loglog(rows, [step.seconds for step in steps], "o-", label="evaluated")
    right.loglog(
        rows, [count / cached.rate for count in rows], "--", color="grey", label="at the cached file's rate"
    )
    right.set(xlabel="rows", ylabel="seconds", title="time against rows")
    right.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def forget(path: Path) -> None:
    """Let the system drop what it keeps of the file in memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def say(text: str) -> None:
    """Tell what is going on."""
    print(f"long_run: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _drawn(rows: int, folder: Path | None, keep: bool) -> Iterator[tuple[Path, float]]:
    """A file of drawn digits and the seconds that drawing took; removed at the end."""
    place = folder or Path(tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    needed, free = rows * ROW_BYTES + SPARE, shutil.disk_usage(place).free
    if free < needed:
        raise SystemExit(
            f"{place}: {free / 2**30:.1f} GiB are free, {needed / 2**30:.1f} GiB are needed for {rows:,} rows. Choose "
            "another place with --folder, or fewer --rows."
        )
    path = place / f"streameval-long-run-{os.getpid()}.arrow"
    try:
        say(f"drawing {rows:,} rows, {rows * ROW_BYTES / 2**30:.1f} GiB, into {path}")
        begin = time.perf_counter()
        command = (*STREAMEVAL, "digits", str(path), "--rows", str(rows), "--seed", "1")
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        yield path, time.perf_counter() - begin
    finally:
        if not keep:
            path.unlink(missing_ok=True)


def _disk_rate(path: Path, most: int = 4 << 30) -> float:
    """Bytes a second of reading the beginning of the file in order, not from memory."""
    forget(path)
    buffer = bytearray(8 << 20)
    with path.open("rb", buffering=0) as file:
        begin, done = time.perf_counter(), 0
        while done < most and (got := file.readinto(buffer)):
            done += got
    return done / (time.perf_counter() - begin)


def _memory(pid: int) -> tuple[int, int] | None:
    """Resident bytes of a process: anonymous, file-backed; None when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith(" kB")}
    return (sizes["RssAnon"], sizes["RssFile"]) if "RssAnon" in sizes else None


def _within(run: Watched) -> bool:
    """Whether the process stayed within its budget at every look from outside."""
    used = run.report["resources"]
    budget = used["base_bytes"] + used["max_memory_bytes"]
    return all(anonymous + backed <= budget for _, anonymous, backed in run.samples)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="rows to draw (default: 32 million)")
    parser.add_argument("--max-memory", default="256M", help="budget of each pass (default: 256M)")
    parser.add_argument("--folder", type=Path, help="where the file is drawn (default: the temporary folder)")
    parser.add_argument(
        "--out", type=Path, default=Path("long_run"), help="folder of the results (default: long_run)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the drawn file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
