"""The command line: arguments in, calls, output out.

Knows exit codes, signals and streams. Does not know any command: `commands` lists them, one file each.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from streameval.errors import StorageError, StreamevalError, StreamevalWarning, UnwrittenWarning
from streameval.escaping import escaped

if TYPE_CHECKING:
    import click

PROGRAM = "streameval"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit code.

    0 done · 2 usage · 3 bad data · 4 bad model · 5 I/O, disk or memory · 6 a check did not hold
    7 incomplete, can be resumed · 8 locked · 130/143 Ctrl-C, SIGTERM
    """
    _keep_streams_apart()
    _never_fail_to_print()
    unwritten = _one_line_warnings()
    signals = _Signals()
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        _flush()
        code = code or max(unwritten, default=0)
    except KeyboardInterrupt:
        code = signals.exit_code
    except BrokenPipeError:
        code = _reader_left()
    except StreamevalError as error:
        code = _say(str(error), error.exit_code)
    except MemoryError:
        code = _say("not enough memory. Try fewer rows at a time: --chunk-rows 1000.", StorageError.exit_code)
    except OSError as error:
        code = _say(_of_system(error), StorageError.exit_code)
    sys.exit(code)


def process() -> NoReturn:
    """`main` as the command of a shell.

    It looks for garbage so seldom that a warm command does not, since what is imported is none, and ends without
    taking apart what is in memory: that of a compiler takes as long as the losses of 300,000 rows. Functions of
    `atexit` run, and what was printed is there; a file that was left open is not written out. A process that is
    profiled, traced or interactive ends as any other.

    Threads wait for each other asleep, unless the environment says otherwise: the default, awake, gains nothing on a
    machine that is otherwise idle, and takes the processors that the others need on one that is not.
    """
    gc.set_threshold(150_000, 20, 100)
    keep_to_itself()
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        main()
    except SystemExit as end:
        # Threads that still run are for Python to wait for.
        watched = sys.getprofile() or sys.gettrace() or sys.flags.interactive or sys.flags.inspect
        if isinstance(end.code, int) and threading.active_count() == 1 and not watched:
            atexit._run_exitfuncs()
            for stream in filter(None, (sys.stdout, sys.stderr)):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(end.code)
        raise


def keep_to_itself() -> None:
    """Have no helper process beside this one, which would speak after a last message.

    From Python 3.14 on, Numba's first parallel loop starts one, to put away a lock that processes share.
    """
    if sys.version_info >= (3, 14):
        import multiprocessing

        multiprocessing.set_start_method("spawn", force=True)


def _run(arguments: list[str]) -> int:
    import click

    from streameval.cli.commands import cli
    from streameval.cli.completion import answer

    if answer(cli):
        return 0
    try:
        with cli.make_context(PROGRAM, arguments) as context:
            cli.invoke(context)
    except click.exceptions.Exit as wish:
        return wish.exit_code
    except click.ClickException as error:
        said = io.StringIO()
        _with_who_has_it(error).show(said)
        # click lists choices behind tabs.
        _tell_as_it_is(said.getvalue().expandtabs(2))
        return error.exit_code
    return 0


def _with_who_has_it(error: click.ClickException) -> click.ClickException:
    """The same error; where it is about an option of other commands, one that names them."""
    import click

    from streameval.cli.commands import with_option

    if not isinstance(error, click.NoSuchOption):
        return error
    having = with_option(error.option_name)
    if not having:
        return error
    said = f"No such option {error.option_name!r} here. It belongs to: {', '.join(having)}."
    return click.NoSuchOption(error.option_name, said, error.possibilities, error.ctx)


class _Signals:
    """Turns the first Ctrl-C or SIGTERM into KeyboardInterrupt, so that what must be put away is put away;
    a second one ends the process at once."""

    def __init__(self) -> None:
        self._last = signal.SIGINT
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who starts us with a signal ignored (nohup, a shell's background job) wants it ignored.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number."""
        return 128 + self._last

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._last = signal.Signals(number)
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_DFL)
        raise KeyboardInterrupt


def _keep_streams_apart() -> None:
    """Where a stream was closed by who started us, let nothing else take its number; errors then go nowhere.

    Python would print errors on stdout instead, and a file that is opened next would be number 2: what writes errors
    to that number would write into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _never_fail_to_print() -> None:
    """Let a path that the terminal's encoding cannot show be printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _one_line_warnings() -> set[int]:
    """Show each warning of the project once, as one line; those of others as Python does.

    The set that is returned gets the exit codes of warnings that have one: then there is a result, and not all else.
    """
    usual, shown, codes = warnings.showwarning, set(), set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, StreamevalWarning):
            usual(message, category, filename, lineno, file, line)
        elif str(message) not in shown:
            shown.add(str(message))
            _tell(f"warning: {message}")
        if issubclass(category, UnwrittenWarning):
            codes.add(category.exit_code)

    warnings.simplefilter("always", StreamevalWarning)
    warnings.showwarning = show
    return codes


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _reader_left() -> int:
    """End quietly when whoever read stdout is gone: files were written before anything was printed."""
    quiet: Any = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stdout.fileno())
    return 0


def _say(message: str, code: int) -> int:
    _tell(f"error: {message}")
    return code


def _tell(message: str) -> None:
    """Print one line on stderr; where nobody reads that either, the exit code says enough."""
    _tell_as_it_is(f"{PROGRAM}: {escaped(message)}\n")


def _tell_as_it_is(text: str) -> None:
    with contextlib.suppress(OSError):
        print(escaped(text, keep="\n"), end="", file=sys.stderr)


def _of_system(error: OSError) -> str:
    path = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    cure = " Free some space, or write elsewhere." if error.errno == errno.ENOSPC else ""
    return f"{path}{error.strerror or error}.{cure}"
