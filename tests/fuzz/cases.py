"""One input after another: made, read, judged. Everything follows from the reader's name, a seed and a number.

Knows what counts as a failure. Does not know any reader, nor how processes are limited.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from streameval.errors import StreamevalWarning
from tests.fuzz.target import KEPT, Case, Target, write_case

SECONDS = 20
"""An input that takes more of the CPUs' time hangs: on a busy machine that may be many minutes."""
STANDING = 300
"""An input that takes longer waits for something that will not come."""
ORACLE_SECONDS = 10

REFUSED, AGREED, ACCEPTED = "refused", "agreed", "accepted"


class HangError(BaseException):
    """An input took too long. No `except Exception` stops it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with input `number`: "exception", "hang", "memory", "differs" or "message"."""

    number: int
    kind: str
    text: str


@dataclass(slots=True)
class Outcome:
    """How many inputs were refused, accepted, accepted and agreed with the oracle; and what failed."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def case_of(name: str, target: Target, seeds: list[Case], seed: int, number: int) -> Case:
    """Return input `number`. Each tenth is a seed as it is, which must be accepted."""
    rng = Random(f"{name} {seed} {number}")
    chosen = rng.choice(seeds)
    return chosen if number % 10 == 0 else target.mutate(rng, chosen)


def judge(name: str, target: Target, folder: Path, seed: int, number: int) -> tuple[str, Failure | None]:
    """Read the input in `folder`, and say how it went."""
    failed = None
    try:
        with _limited(), _strict():
            got = target.read(folder, Random(f"{name} options {seed} {number}"))
    except target.refusals as error:
        return REFUSED, _about_refusal(error, number)
    except HangError:
        return "hang", Failure(number, "hang", f"more than {SECONDS} s of CPU time, or {STANDING} s")
    except MemoryError:
        return "memory", Failure(number, "memory", traceback.format_exc())
    except Exception:
        return "exception", Failure(number, "exception", traceback.format_exc())
    expected = _by_oracle(target, folder)
    if expected is not None and expected != got:
        failed = Failure(number, "differs", f"read {got.hex()[:32]}, the oracle {expected.hex()[:32]}")
    return (ACCEPTED if expected is None else "differs" if failed else AGREED), failed


def run(
    name: str, target: Target, seed: int, numbers: Iterator[int], scratch: Path, kept: Path | None = None
) -> Iterator[tuple[int, Outcome]]:
    """Judge one input after another, and yield each number before it is read, with what came of those before."""
    seeds, outcome = target.seeds(), Outcome()
    for number in numbers:
        yield number, outcome
        case = case_of(name, target, seeds, seed, number)
        folder = scratch / "input"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_case(case, folder)
        how, failure = judge(name, target, folder, seed, number)
        if number % 10 == 0 and how == REFUSED:
            failure = Failure(number, "exception", "a whole seed was refused")
        outcome.counts[how] += 1
        if failure is not None:
            outcome.failures.append(failure)
            keep(kept, name, seed, failure, case)
    yield -1, outcome


def keep(kept: Path | None, name: str, seed: int, failure: Failure, case: Case) -> None:
    """Save an input that failed, with what went wrong beside it."""
    if kept is None:
        return
    folder = kept / f"{name}-{seed}-{failure.number}-{failure.kind}"
    folder.mkdir(parents=True, exist_ok=True)
    write_case(case, folder)
    (folder / "what.txt").write_text(failure.text)


def _by_oracle(target: Target, folder: Path) -> bytes | None:
    """Return what the oracle read, in a fork: other software may crash, hang, or raise anything."""
    if target.oracle is None:
        return None
    receiving, sending = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            try:
                os.close(receiving)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                os.write(sending, target.oracle(folder) or b"")
            finally:
                os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        if not select.select([pipe], [], [], ORACLE_SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer or None


def _about_refusal(error: BaseException, number: int) -> Failure | None:
    """A refusal must be short, and not come from memory having run out."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return Failure(number, "memory", f"refused after MemoryError: {error}"[:KEPT])
        cause = cause.__cause__ or cause.__context__
    if len(str(error)) > KEPT:
        return Failure(number, "message", f"{len(str(error))} letters: {error}"[:KEPT])
    return None


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise HangError

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, STANDING)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Warnings of others are errors; the project's own are meant for the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", StreamevalWarning)
        yield
