"""Where compiled kernels are kept, and what happens when they cannot be read.

The folder's name holds the versions of all that the machine code depends on: the kernels' sources (Numba itself
looks at one file only), Numba, Python and what is compiled for. Each file carries its own hash, since damaged
machine code would not raise but crash. What is read is run: it has to lie in a folder of this user's alone (`trusted`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import platform
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from numba.core import caching
from numba.core.runtime import _nrt_python

from streameval.errors import StreamevalWarning
from streameval.kernels.host import features, level
from streameval.kernels.trusted import UntrustedError, private_folder, read_trusted

_HASH_BYTES = 32
# The rooms whose sources are compiled.
_ROOMS = ("kernels", "layers", "losses")


def use_cache(dispatcher: Any, name: str | None = None) -> None:
    """Let a compiled function load its machine code from the cache folder, and store it there, under a name.

    The name says all that the code depends on besides the folder's version: a function that is made for several
    operations has several names. Default: those of its file and itself.
    """
    function = dispatcher.py_func
    own = f"{Path(function.__code__.co_filename).stem}.{function.__name__}"
    dispatcher._cache = _KernelCache(function, name or own)


@functools.cache
def cache_folder() -> Path | None:
    """The folder of compiled kernels, made if need be; None, with one warning, where none can be kept.

    STREAMEVAL_CACHE_DIR, else `streameval` in the user's cache folder; in it one folder for each version. What lies
    there is run: a folder that another user could write to, or replace, is not used.
    """
    chosen = os.environ.get("STREAMEVAL_CACHE_DIR")
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(chosen) if chosen else users / "streameval"
    wanted = base / f"kernels-{_version()}"
    try:
        folder = private_folder(wanted)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except UntrustedError as error:
        _warn(
            f"{wanted}: compiled kernels are neither read from there nor kept there, but compiled anew in every "
            f"process: {error}. Or set STREAMEVAL_CACHE_DIR to a folder of your own."
        )
        return None
    except OSError as error:
        _warn(
            f"{wanted}: compiled kernels cannot be kept there ({error.strerror}), so they are compiled anew in every "
            "process. Set STREAMEVAL_CACHE_DIR to a folder that can be written."
        )
        return None
    return folder


def remove_cache() -> None:
    """Delete this version's compiled kernels."""
    folder = cache_folder()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(0o700, parents=True, exist_ok=True)


@functools.cache
def _version() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(path for room in _ROOMS for path in (package / room).glob("*.py")):
        digest.update(path.read_bytes())
    parts = (numba.__version__, sys.version, platform.machine(), level(), *sorted(features()))
    digest.update("\n".join(parts).encode())
    return f"{digest.hexdigest()[:16]}-{level()}"


class _Locator(caching._CacheLocator):
    """Says that a function lives in the cache folder and never goes stale there."""

    def get_cache_path(self) -> str:
        return str(cache_folder() or "")

    def get_source_stamp(self) -> str:
        return _version()

    def get_disambiguator(self) -> str:
        return ""

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Locator:
        return cls()


class _CompiledKernel(caching.CompileResultCacheImpl):
    """What is kept of a compiled kernel: what a call from Python needs, and no more.

    Numba would keep the kernel's LLVM code as well, for others to inline: reading it takes as long as all the rest. No
    kernel calls another, so it keeps the names alone of what the machine code defines.

    It would also keep an environment for each function that went into it, and reading one loads the function's module.
    Only what prints, or raises with values of its run, looks at one without constants; of Numba's own functions none is
    kept, whose modules take a quarter of the time that loading takes.
    """

    _locator_classes = (_Locator,)

    def reduce(self, compiled: Any) -> Any:
        (name, kind, (code, _)), described, *rest, environments = super().reduce(compiled)
        names = _defining(described.llvm_func_name, described.llvm_cpython_wrapper_name)
        environments = tuple(one for one in environments if one.consts or not _is_of_numba(one))
        return (name, kind, (code, names)), described, *rest, environments


def _defining(*names: str) -> bytes:
    """LLVM code that says nothing but that functions of these names are defined."""
    functions = (f'define void @"{name}"() {{ ret void }}' for name in names)
    code: bytes = llvmlite.binding.parse_assembly("\n".join(functions)).as_bitcode()
    return code


@functools.cache
def _name_runtime_functions() -> None:
    """Tell LLVM where the functions are that machine code calls to count references."""
    for name, address in _nrt_python.c_helpers.items():
        llvmlite.binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


def _is_of_numba(environment: Any) -> bool:
    return str(environment.globals.get("__name__")).startswith("numba.")


class _HashedFile(caching.IndexDataCacheFile):
    """Numba's pair of files, index and data, each behind a SHA-256 of what follows."""

    def _load_index(self) -> Any:
        try:
            return pickle.loads(_checked(Path(self._index_path)))
        except FileNotFoundError:
            return {}

    def _save_index(self, overloads: Any) -> None:
        self._write(self._index_path, overloads)

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_checked(Path(self._data_path(name))))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _write(self, path: str, content: Any) -> None:
        data = self._dump(content)
        with self._open_for_write(path) as file:
            # Whatever the umask: what a group may write is not read again.
            os.fchmod(file.fileno(), 0o600)
            file.write(hashlib.sha256(data).digest() + data)


class _KernelCache(caching.FunctionCache):
    """A function's cache that treats what it cannot read as absent, deletes it, and says so once."""

    _impl_class = _CompiledKernel

    def __init__(self, function: Any, name: str) -> None:
        super().__init__(function)
        self._kernel_name = name
        self._cache_file = _HashedFile(
            cache_path=self._cache_path,
            filename_base=name,
            source_stamp=self._impl.locator.get_source_stamp(),
        )
        if cache_folder() is None:
            self.disable()

    def load_overload(self, signature: Any, target: Any) -> Any:
        # Numba would first import all it knows about typing and lowering, 0.4 s, and compile its runtime, of which
        # machine code that is there already needs only the C functions. Compiling does both by itself.
        _name_runtime_functions()
        try:
            return self._load_overload(signature, target)
        except _UNREADABLE as error:
            _warn(f"{self._cache_path}: a compiled kernel is damaged ({error}); it is compiled again.")
            remove_cache()
            return None

    def _index_key(self, signature: Any, codegen: Any) -> Any:
        # Numba would pickle what a closure holds, which differs from one process to the next.
        return signature, codegen.magic_tuple(), self._kernel_name

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            super().save_overload(signature, data)
        except OSError as error:
            _warn(
                f"{self._cache_path}: a compiled kernel could not be kept ({error.strerror}); it is compiled again "
                "in the next process. Free some space, or set STREAMEVAL_CACHE_DIR."
            )
        except _UNREADABLE:
            # The index another process left is damaged: start a new one.
            remove_cache()
            super().save_overload(signature, data)


class _DamagedError(ValueError):
    """A cached file whose hash does not match."""


_UNREADABLE = (
    _DamagedError,
    UntrustedError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    ImportError,
)


def _checked(path: Path) -> bytes:
    stored = read_trusted(path)
    expected, data = stored[:_HASH_BYTES], stored[_HASH_BYTES:]
    if hashlib.sha256(data).digest() != expected:
        raise _DamagedError(f"{path.name}: hash differs")
    return data


def _warn(message: str) -> None:
    warnings.warn(message, StreamevalWarning, stacklevel=3)
