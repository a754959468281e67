"""What the command line does when a file is cut short, or its disk fails, while it is mapped.

The system then kills the process with SIGBUS, in the middle of a kernel, on any thread: no Python code can run.
A few instructions of machine code can: they look whether one of the mapped files is shorter than it was at opening, say
once what happened, and end the process with 3 if so, else with 5. Nothing has been printed by then, and outputs that
were begun never get their names.
"""

from __future__ import annotations

import ctypes
import functools
import signal
import sys
from typing import Any

from streameval.errors import DataError, StorageError

_SHOW_CURSOR = "\r\x1b[?25h"
# lseek to the end (2) tells the size of a file, and -1, as unsigned number the largest, where it is closed by now.
_ASSEMBLY = """
@told = internal global i32 0
@files = private constant [{count} x {{ i32, i64 }}] [{files}]
@short = private constant [{short_size} x i8] c"{short}"
@failed = private constant [{failed_size} x i8] c"{failed}"
declare i64 @write(i32, ptr, i64)
declare i64 @lseek(i32, i64, i32)
declare void @_exit(i32)
declare i32 @pause()
define void @ended(i32 %signal) {{
  %before = atomicrmw xchg ptr @told, i32 1 seq_cst
  %first = icmp eq i32 %before, 0
  br i1 %first, label %look, label %wait
wait:
  %woken = call i32 @pause()
  br label %wait
look:
  %k = phi i64 [ 0, %0 ], [ %after, %compare ]
  %all = icmp eq i64 %k, {count}
  br i1 %all, label %disk_failed, label %compare
compare:
  %handle_at = getelementptr [{count} x {{ i32, i64 }}], ptr @files, i64 0, i64 %k, i32 0
  %size_at = getelementptr [{count} x {{ i32, i64 }}], ptr @files, i64 0, i64 %k, i32 1
  %handle = load i32, ptr %handle_at
  %size = load i64, ptr %size_at
  %found = call i64 @lseek(i32 %handle, i64 0, i32 2)
  %after = add i64 %k, 1
  %less = icmp ult i64 %found, %size
  br i1 %less, label %cut_short, label %look
cut_short:
  %told_short = call i64 @write(i32 2, ptr @short, i64 {short_size})
  call void @_exit(i32 {short_code})
  unreachable
disk_failed:
  %told_failed = call i64 @write(i32 2, ptr @failed, i64 {failed_size})
  call void @_exit(i32 {failed_code})
  unreachable
}}
"""


def watch(path: str) -> None:
    """From now on, let a mapped file that cannot be read to its end stop the process with a message that names `path`.

    3 where a file that is mapped by now was cut short, 5 where all have their sizes still, so that a disk failed.

    Takes 4 ms beside the import of Numba. POSIX: write, lseek and _exit are safe in a signal handler.
    """
    from streameval.storage.mapping import mapped_files

    begin = (
        f"{_SHOW_CURSOR * bool(sys.stderr is not None and sys.stderr.isatty())}streameval: error: {path}: "
    )
    short = (
        "the file was cut short while it was read. No result was written. Let no one write to the file and run again; "
        "--io pread reads such files without a mapping.\n"
    )
    failed = (
        "Input/output error while it was read, and nobody cut it short: its disk, or the network file system, failed "
        "(or that of temporary files is full). No result was written. See the system's log, and use another disk; "
        "--io pread names the place.\n"
    )
    address = _handler(begin + short, begin + failed, tuple(mapped_files()))
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    libc.signal(signal.SIGBUS, address)


@functools.cache
def _handler(short: str, failed: str, files: tuple[tuple[int, int], ...]) -> int:
    """The address of machine code that looks at the files, writes one of the messages and ends the process."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(
        _ASSEMBLY.format(
            count=len(files),
            files=", ".join(f"{{ i32, i64 }} {{ i32 {handle}, i64 {size} }}" for handle, size in files),
            short=_text(short),
            short_size=len(_bytes(short)),
            short_code=DataError.exit_code,
            failed=_text(failed),
            failed_size=len(_bytes(failed)),
            failed_code=StorageError.exit_code,
        )
    )
    # Not optimised: that would take as long again, and nothing waits for it.
    machine = llvm.Target.from_default_triple().create_target_machine(opt=0)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _ALIVE.append(engine)
    address: int = engine.get_function_address("ended")
    return address


def _bytes(message: str) -> bytes:
    return message.encode(errors="backslashreplace")


def _text(message: str) -> str:
    """As a constant of LLVM's assembly."""
    return "".join(f"\\{byte:02x}" for byte in _bytes(message))


# The machine code lives as long as what compiled it.
_ALIVE: list[Any] = []
