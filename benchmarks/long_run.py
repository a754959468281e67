"""A file larger than memory, drawn, evaluated within a fixed budget, watched from outside, and removed.

    python -m benchmarks.long_run                      # 32 million rows, 25 GB
    python -m benchmarks.long_run --rows 2000000       # a rehearsal

Writes long_run.json, long_run.md and, with streameval[report], long_run.png: memory over time, and time against rows,
from the disk and from memory, beside what the disk alone takes. Knows the command line and /proc. Does not know the
library.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streameval.system import cpus

ROOT = Path(__file__).resolve().parent.parent
STREAMEVAL = (sys.executable, "-m", "streameval")
MODEL = ROOT / "streameval" / "datasets" / "demo.safetensors"
ROW_BYTES = 28 * 28 + 1
ROWS = 32_000_000
SIZES = (60_000, 250_000, 1_000_000, 4_000_000, 16_000_000)
# Looks at each size; the largest, which take longest and vary least, get fewer.
LOOKS, FEW_LOOKS, MANY_ROWS = 5, 3, 4_000_000
# The disk alone is read as the passes read it: so many bytes at a time, so many reads at once.
PART_BYTES, IN_FLIGHT = 1 << 20, 3
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


@dataclass(frozen=True)
class Size:
    """Rows that were evaluated several times: seconds of each pass, and of reading their bytes alone.

    source  "disk": nothing of the file in memory before; "memory": all of it there
    disk    seconds of reading the same bytes from the disk, one for each pass; none for those from memory
    """

    rows: int
    source: str
    passes: list[float]
    disk: list[float]
    anonymous: int
    backed: int

    @property
    def nanoseconds(self) -> float:
        """Median time of a row."""
        return 1e9 * statistics.median(self.passes) / self.rows

    @property
    def disk_nanoseconds(self) -> float:
        """Median time of a row's bytes, read alone."""
        return 1e9 * statistics.median(self.disk) / self.rows


def main(arguments: list[str] | None = None) -> int:
    """Run everything; the drawn file is removed whatever happens."""
    wish = _parser().parse_args(arguments)
    if not (hasattr(os, "O_DIRECT") and hasattr(os, "preadv")):
        print(
            "long_run: reads past the page cache, which this system does not do. Run it on Linux.",
            file=sys.stderr,
        )
        return 2
    wish.out.mkdir(parents=True, exist_ok=True)
    with _drawn(wish.rows, wish.folder, wish.keep) as (path, drawing):
        sizes = [size for size in SIZES if size < wish.rows]
        room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2 // 3
        steps = [from_memory(path, size, wish.max_memory) for size in sizes if size * ROW_BYTES <= room]
        whole = None
        for size in (*sizes, wish.rows):
            step, whole = from_disk(path, size, wish.max_memory)
            steps.append(step)
        file_bytes = path.stat().st_size
    assert whole is not None
    found = {
        "schema": "streameval/long-run/2",
        "rows": wish.rows,
        "file_bytes": file_bytes,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "cpus": cpus(),
        "max_memory": wish.max_memory,
        "drawing_seconds": drawing,
        "sizes": [asdict(step) for step in steps],
        "report": whole.report,
        "samples": whole.samples,
    }
    (wish.out / "long_run.json").write_text(json.dumps(found) + "\n")
    text = table(found, steps, whole)
    (wish.out / "long_run.md").write_text(text)
    print(text)
    plot(wish.out / "long_run.png", steps, whole, found)
    return 0 if _within(whole) else 1


def from_memory(path: Path, rows: int, max_memory: str) -> Size:
    """Evaluate the first `rows` rows again and again, after the page cache was filled with them."""
    say(f"{rows:,} rows from memory")
    with path.open("rb", buffering=0) as file:
        buffer, left = bytearray(8 << 20), rows * ROW_BYTES
        while left > 0 and (got := file.readinto(buffer)):
            left -= got
    runs = [evaluate(path, max_memory, rows) for _ in range(_looks(rows) + 1)][1:]
    return _size(rows, "memory", runs, [])


def from_disk(path: Path, rows: int, max_memory: str) -> tuple[Size, Watched]:
    """Evaluate the first `rows` rows, read past the page cache, in turns with reading their bytes alone."""
    say(f"{rows:,} rows from the disk")
    disk, runs = [], []
    for _ in range(_looks(rows)):
        forget(path)
        disk.append(read_alone(path, rows * ROW_BYTES))
        runs.append(evaluate(path, max_memory, rows, "--io", "direct"))
    return _size(rows, "disk", runs, disk), runs[-1]


def evaluate(path: Path, max_memory: str, rows: int, *more: str) -> Watched:
    """Run `streameval evaluate` over the first `rows` rows, and watch it."""
    part = ("--rows", f"0:{rows}", "--max-memory", max_memory, *more)
    command = (*STREAMEVAL, "evaluate", str(MODEL), str(path), *part, "--json")
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


def table(found: dict[str, Any], steps: list[Size], whole: Watched) -> str:
    """What was found, as Markdown."""
    gib = found["file_bytes"] / 2**30
    memory, disk = ([step for step in steps if step.source == kind] for kind in ("memory", "disk"))
    lines = [
        f"{found['rows']:,} drawn rows of 28 x 28 pixels, {gib:.1f} GiB, on a machine with "
        f"{found['memory_bytes'] / 2**30:.1f} GiB of memory and {found['cpus']} CPUs, "
        f"`--max-memory {found['max_memory']}`. Repeat it: `python -m benchmarks.long_run --rows {found['rows']}`.",
        "",
        f"Medians of {LOOKS} passes, of {FEW_LOOKS} from {MANY_ROWS:,} rows on.",
        "",
        "Read from the disk, past the page cache; *disk alone* is the time of reading the same bytes the same way:",
        "",
        "| rows | seconds | rows/s | ns/row | against the last line | disk alone, ns/row | pass / disk alone | peak "
        "anonymous MiB | peak file-backed MiB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for step in disk:
        lines.append(
            f"{_columns(step, disk[-1])} {step.disk_nanoseconds:.0f} | {_over_disk(step):.2f} "
            f"| {step.anonymous / 2**20:.0f} | {step.backed / 2**20:.0f} |"
        )
    lines += [
        "",
        "From memory, the rows being in the page cache:",
        "",
        "| rows | seconds | rows/s | ns/row | against the last line |",
        "|---:|---:|---:|---:|---:|",
        *(_columns(step, memory[-1]) for step in memory),
    ]
    used = whole.report["resources"]
    beyond = used["peak_anon_bytes"] + used["peak_file_bytes"] - used["base_bytes"]
    lines += [
        "",
        f"- The whole file ran at {100 * memory[-1].nanoseconds / disk[-1].nanoseconds:.0f} % of the rate of the same "
        f"kernel on {memory[-1].rows:,} cached rows; {whole.rows * ROW_BYTES / whole.seconds / 1e6:,.0f} MB/s in the "
        "last pass.",
        f"- Beyond what the process held when the pass began (imports, kernels: {used['base_bytes'] / 2**20:.0f} MiB) "
        f"it took {beyond / 2**20:.0f} MiB, of {used['max_memory_bytes'] / 2**20:.0f} MiB allowed.",
        f"- Digest `{whole.report['digest']}`.",
        "",
    ]
    return "\n".join(lines)


def plot(path: Path, steps: list[Size], whole: Watched, found: dict[str, Any]) -> None:
    """Draw memory over time and time against rows, if matplotlib is there."""
    try:
        import matplotlib
    except ImportError:
        say("no picture: matplotlib is not installed. Type: pip install 'streameval[report]'")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

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
    disk, memory = ([step for step in steps if step.source == kind] for kind in ("disk", "memory"))
    for kind, mark, name in ((disk, "o-", "from the disk"), (memory, "s-", "from memory")):
        rows = [step.rows for step in kind]
        right.loglog(rows, [step.nanoseconds * step.rows / 1e9 for step in kind], mark, label=name)
    right.loglog(
        [step.rows for step in disk], [step.disk_nanoseconds * step.rows / 1e9 for step in disk],
        "--", color="grey", label="the disk alone",
    )  # fmt: skip
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


def read_alone(path: Path, size: int) -> float:
    """Seconds of reading the first `size` bytes past the page cache, several reads at once, doing nothing with them."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECT)
    own = threading.local()

    def read(at: int) -> None:
        if not hasattr(own, "buffer"):
            own.buffer = mmap.mmap(-1, PART_BYTES)
        os.preadv(handle, [own.buffer], at)

    try:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            begin = time.perf_counter()
            for _ in pool.map(read, range(0, size, PART_BYTES)):
                pass
            return time.perf_counter() - begin
    finally:
        os.close(handle)


def _looks(rows: int) -> int:
    return LOOKS if rows < MANY_ROWS else FEW_LOOKS


def _size(rows: int, source: str, runs: list[Watched], disk: list[float]) -> Size:
    anonymous, backed = (max(run.peak(column) for run in runs) for column in (1, 2))
    return Size(rows, source, [run.seconds for run in runs], disk, anonymous, backed)


def _columns(step: Size, last: Size) -> str:
    """The first columns of both tables."""
    return (
        f"| {step.rows:,} | {step.nanoseconds * step.rows / 1e9:.3f} | {1e9 / step.nanoseconds:,.0f} "
        f"| {step.nanoseconds:.0f} | {step.nanoseconds / last.nanoseconds:.2f} |"
    )


def _over_disk(step: Size) -> float:
    """Median, over the turns, of a pass against the disk alone just before it."""
    return statistics.median(one / alone for one, alone in zip(step.passes, step.disk, strict=True))


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
