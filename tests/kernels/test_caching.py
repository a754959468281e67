"""What the cache of kernels overrides in Numba, which is private there: a new Numba may have changed it."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_line import environment
from llvmlite.binding.executionengine import ExecutionEngine
from numba.core import caching, codegen, dispatcher

from streameval.kernels.compiling import kernel

# What `kernels/caching.py` and `linking.py` override or call -> how it looked where the cache was tested.
KNOWN = {
    caching.Cache.__init__: ("self", "py_func"),
    caching.Cache._index_key: ("self", "sig", "codegen"),
    caching.Cache._load_overload: ("self", "sig", "target_context"),
    caching.Cache.load_overload: ("self", "sig", "target_context"),
    caching.Cache.save_overload: ("self", "sig", "data"),
    caching.Cache.disable: ("self",),
    caching.IndexDataCacheFile.__init__: ("self", "cache_path", "filename_base", "source_stamp"),
    caching.IndexDataCacheFile._load_index: ("self",),
    caching.IndexDataCacheFile._save_index: ("self", "overloads"),
    caching.IndexDataCacheFile._load_data: ("self", "name"),
    caching.IndexDataCacheFile._save_data: ("self", "name", "data"),
    caching.IndexDataCacheFile._dump: ("self", "obj"),
    caching.IndexDataCacheFile._data_path: ("self", "name"),
    caching.IndexDataCacheFile._open_for_write: ("self", "filepath"),
    caching._CacheLocator.get_cache_path: ("self",),
    caching._CacheLocator.get_source_stamp: ("self",),
    caching._CacheLocator.get_disambiguator: ("self",),
    caching._CacheLocator.from_function.__func__: ("cls", "py_func", "py_file"),
    caching.CompileResultCacheImpl.reduce: ("self", "cres"),
    caching.CompileResultCacheImpl.rebuild: ("self", "target_context", "payload"),
    codegen.Codegen.create_library: ("self", "name", "kwargs"),
    codegen.CPUCodeLibrary._optimize_final_module: ("self",),
    codegen.CPUCodeLibrary._finalize_final_module: ("self",),
    codegen.JITCodeLibrary.get_pointer_to_function: ("self", "name"),
}


@pytest.mark.parametrize("method", KNOWN, ids=lambda method: method.__qualname__)
def test_what_the_cache_of_kernels_overrides_in_numba_is_as_it_was(method: object) -> None:
    """If this fails: read numba/core/caching.py against kernels/caching.py, then renew this table and the range of
    Numba in pyproject.toml."""
    assert tuple(inspect.signature(method).parameters) == KNOWN[method]


def test_a_compiled_function_still_takes_its_cache_from_the_place_where_it_is_put() -> None:
    """`use_cache` replaces `_cache` of a dispatcher, and Numba asks it before and after it compiles."""
    source = inspect.getsource(dispatcher.Dispatcher.compile)
    assert "self._cache.load_overload(sig, self.targetctx)" in source
    assert "self._cache.save_overload(sig, cres)" in source


def test_a_parallel_loop_is_no_machine_code_of_its_own(tmp_path):
    """Of its three parts and the kernel, and of the function that it calls, the kernel alone is."""
    program = """
import numba, numpy as np
from numba.core.codegen import JITCodeLibrary
from streameval.kernels.compiling import device, kernel

made, finalize = [], JITCodeLibrary._finalize_specific
JITCodeLibrary._finalize_specific = lambda self: (made.append(self.name), finalize(self))

@device
def twice(x):
    return 2.0 * x

@kernel(parallel=True, name="")
def fill(out):
    for i in numba.prange(out.size):
        out[i] = twice(i)

out = np.empty(1000)
fill(out)
assert (out == 2.0 * np.arange(1000)).all()
print([name for name in made if "fill" in name or "gufunc" in name.lower() or "twice" in name])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "['fill']\n", done.stderr


def test_a_kernel_from_the_disk_prints_and_raises_what_it_did_when_it_was_compiled(tmp_path):
    """Both look at the environment of their function, which has no constants."""
    program = """
import numba, numpy as np
from streameval.kernels.compiling import kernel

@numba.njit
def inner(k):
    if k == 1:
        raise ValueError("of the run", k)
    print("hello", k)

@kernel(name="loud")
def loud(k, out):
    inner(k)

for k in (0, 1):
    try:
        loud(k, np.zeros(1))
    except ValueError as error:
        print(error.args, flush=True)
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=environment(STREAMEVAL_CACHE_DIR=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        for _ in range(2)
    ]
    assert said == ["hello 0\n('of the run', 1)\n"] * 2
    assert [*tmp_path.rglob("loud*.nbi")]


def test_an_interrupt_inside_llvm_is_not_forgotten(monkeypatch, capsys):
    """It comes while LLVM, where most of the time goes, calls Python; the kernel is there at the next call."""
    find = ExecutionEngine._find_module_ptr

    def interrupted(self, module):
        signal.raise_signal(signal.SIGINT)
        return find(self, module)

    @kernel(name="")
    def count(out):
        for k in range(len(out)):
            out[k] = k

    hook, out = sys.unraisablehook, np.zeros(3)
    monkeypatch.setattr(ExecutionEngine, "_find_module_ptr", interrupted)
    with pytest.raises(KeyboardInterrupt):
        count(out)
    monkeypatch.undo()
    count(out)
    assert out.tolist() == [0.0, 1.0, 2.0]
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""
