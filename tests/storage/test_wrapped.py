"""A data set whose rows are changed or looked at on their way is in all else the one that it wraps."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from data_files import drawn, rows_of

from streameval import storage
from streameval.errors import DataError
from streameval.storage.checked import CheckedSource
from streameval.storage.normalised import NormalisedSource

ROWS = 300
# Wrapper -> what is its own.
WRAPPERS = {
    "checked": (CheckedSource, set()),
    "normalised": (lambda source: NormalisedSource(source, 0.5, 2.0), {"dtype", "scale", "fingerprint"}),
}
VALUES = ("name", "path", "rows", "shape", "features", "dtype", "classes", "scale", "soft", "io", "files",
          "sources", "fingerprint")  # fmt: skip


@pytest.fixture(params=WRAPPERS)
def pair(request, tmp_path: Path):
    x, t = drawn(ROWS)
    path = storage.create(
        tmp_path / "a.arrow", [(x, t)], rows=ROWS, shape=(28, 28), dtype="uint8", classes=10
    )
    wrap, own = WRAPPERS[request.param]
    plain = storage.open(path)
    return plain, wrap(plain), own


def test_what_is_said_of_the_data_set_is_the_same(pair):
    plain, wrapped, own = pair
    different = {name for name in VALUES if getattr(plain, name) != getattr(wrapped, name)}
    assert different == own
    assert (len(wrapped), wrapped.stamps()) == (ROWS, plain.stamps())
    assert wrapped.check_content() == plain.check_content() == 1
    plain.only_of_some = "found"
    assert wrapped.only_of_some == "found"
    with pytest.raises(AttributeError, match="no_such_member"):
        wrapped.no_such_member  # noqa: B018


def test_a_copy_reads_the_same_rows(pair):
    _, wrapped, _ = pair
    for one in (copy.copy(wrapped), wrapped.with_any_targets()):
        assert type(one) is type(wrapped)
        for found, expected in zip(rows_of(one), rows_of(wrapped), strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", WRAPPERS)
def test_labels_of_any_kind_are_asked_of_what_is_wrapped(name):
    x, t = drawn(ROWS)
    t[7] = -1
    wrapped = WRAPPERS[name][0](storage.open((x, t)))
    with pytest.raises(DataError, match="row 7"):
        rows_of(wrapped)
    assert rows_of(wrapped.with_any_targets())[1][7] == -1


def test_leaving_it_gives_the_files_of_the_other_back(pair):
    plain, wrapped, _ = pair
    closed = []
    plain.close = lambda: closed.append("closed")
    with wrapped as inside:
        assert inside is wrapped
    assert closed == ["closed"]
