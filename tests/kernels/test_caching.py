"""What the cache of kernels overrides in Numba, which is private there: a new Numba may have changed it."""

from __future__ import annotations

import inspect

import pytest
from numba.core import caching, dispatcher

# What `kernels/caching.py` overrides or calls -> how it looked where the cache was tested.
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
