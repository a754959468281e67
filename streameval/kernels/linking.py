"""Functions that only kernels call: compiled to be linked into their callers, never to machine code of their own.

Numba would generate code and wrappers for each of them, to be ready for a call from Python that never comes: a
quarter of what compiling a network's kernel took. They are still optimised before they are linked: left to the
caller's module alone, networks of ReLU came out 5 % slower. Knows Numba's code libraries.
"""

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


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

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        return _Unaddressed()


class _Unaddressed:
    """What is asked for after compiling: to fill a variable of the machine code, of which there is none."""

    def set_env(self, name: str, env: Any) -> None:
        """Nothing to do: such functions need no environment, which a kernel loaded from disk has not either."""
