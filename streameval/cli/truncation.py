"""What the command line does when a file is cut short while it is mapped.

The system then kills the process with SIGBUS, in the middle of a kernel, on any thread: no Python code can run.
A few instructions of machine code can: they say once what happened and end the process with 3. Nothing has been printed
by then, and outputs that were begun never get their names.
"""

from __future__ import annotations

import ctypes
import functools
import signal
import sys
from typing import Any

from streameval.errors import DataError

_SHOW_CURSOR = "\r\x1b[?25h"
_ASSEMBLY = """
@told = internal global i32 0
@text = private constant [{size} x i8] c"{text}"
declare i64 @write(i32, ptr, i64)
declare void @_exit(i32)
declare i32 @pause()
define void @ended_short(i32 %signal) {{
  %before = atomicrmw xchg ptr @told, i32 1 seq_cst
  %first = icmp eq i32 %before, 0
  br i1 %first, label %tell, label %wait
wait:
  %woken = call i32 @pause()
  br label %wait
tell:
  %written = call i64 @write(i32 2, ptr @text, i64 {size})
  call void @_exit(i32 {code})
  unreachable
}}
"""


def watch(path: str) -> None:
    """From now on, let a mapped file that is cut short end the process with a message that names `path`, and 3.

    Takes 5 ms beside the import of Numba. POSIX: write and _exit are safe in a signal handler.
    """
    message = (
        f"streameval: error: {path}: the file was cut short, or its disk failed, while it was read. No result was "
        "written. Let no one write to the file and run again; --io pread reads such files without a mapping.\n"
    )
    if sys.stderr is not None and sys.stderr.isatty():
        message = _SHOW_CURSOR + message
    address = _handler(message)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    libc.signal(signal.SIGBUS, address)


@functools.cache
def _handler(message: str) -> int:
    """The address of machine code that writes `message` to stderr and ends the process."""
    import llvmlite.binding as llvm

    data = message.encode(errors="backslashreplace")
    text = "".join(f"\\{byte:02x}" for byte in data)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(_ASSEMBLY.format(size=len(data), text=text, code=DataError.exit_code))
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    _ALIVE.append(engine)
    address: int = engine.get_function_address("ended_short")
    return address


# The machine code lives as long as what compiled it.
_ALIVE: list[Any] = []
