"""Numbers in names count as numbers, and any name has a place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streameval.storage.natural import natural


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["x10", "x9", "x²", "x", "10", "9", "part-2.b", "part-10.a", "part-2.a", "٣", "x007"]
    expected = ["٣", "9", "10", "part-2.a", "part-2.b", "part-10.a", "x", "x007", "x9", "x10", "x²"]
    assert sorted(names, key=natural) == expected


@given(st.lists(st.text(), max_size=5))
def test_any_names_have_an_order(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural)) == sorted(names)
