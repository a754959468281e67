"""What only kernels call: compiled to be linked into its callers, never to machine code of its own.

Numba would generate code and wrappers for each of our functions, to be ready for a call from Python that never comes: a
quarter of what compiling a network's kernel took. They are still optimised before they are linked, though not as far
as what is called: left to the caller's module alone, the article's network came out 10 % slower. A parallel loop goes
through three libraries on its way into the kernel, each of which Numba would optimise and generate code for with all
that the loop calls: another quarter. Knows Numba's code libraries.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

# How Numba names the libraries of a parallel loop: its body, that in the form of a universal function, its start.
_PARTS = ("__numba_parfor_gufunc", "<numba.np.ufunc.wrappers._GufuncWrapper", "parallelgufuncwrapper")


def compile_kernel(dispatcher: Any, signature: tuple[Any, ...]) -> None:
    """Have a kernel compiled for arguments of these types, or loaded, its parallel loops only as parts of it."""
    codegen = dispatcher.targetctx.codegen()
    usual = codegen.create_library

    def create(name: str, **options: Any) -> Any:
        return _PartLibrary(codegen, name, **options) if name.startswith(_PARTS) else usual(name, **options)

    with global_compiler_lock, _hearing_interrupts():
        codegen.create_library = create
        try:
            dispatcher.compile(signature)
        finally:
            del codegen.create_library


@contextlib.contextmanager
def _hearing_interrupts() -> Iterator[None]:
    """Raise at the end of the block the KeyboardInterrupt that came while LLVM, in which compiling spends its time, had
    called a Python function: nothing can be raised through LLVM, so that it would be printed and forgotten."""
    usual, forgotten = sys.unraisablehook, False

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal forgotten
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            forgotten = True
        else:
            usual(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = usual
        if forgotten:
            raise KeyboardInterrupt


class LinkedCompiler(Compiler):
    """Numba's compiler, with a library that is there to be linked."""

    def define_pipelines(self) -> Any:
        state = self.state
        if state.library is None:
            codegen = state.targetctx.codegen()
            state.library = _LinkedLibrary(codegen, state.func_id.func_qualname)
        return super().define_pipelines()


class _LinkedLibrary(JITCodeLibrary):
    """A library whose functions have no address."""

    def _optimize_final_module(self) -> None:
        codegen = self._codegen
        manager, builder = codegen._module_pass_manager(
            loop_vectorize=codegen._loopvect, slp_vectorize=False, opt=codegen._opt_level, cost="cheap"
        )
        manager.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        return _Unaddressed()


class _PartLibrary(_LinkedLibrary):
    """A library that is optimised where it is linked."""

    def _optimize_final_module(self) -> None:
        pass


class _Unaddressed:
    """What is asked for after compiling: to fill a variable of the machine code, of which there is none."""

    def set_env(self, name: str, env: Any) -> None:
        """Nothing to do: such functions need no environment, which a kernel loaded from disk has not either."""
