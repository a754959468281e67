"""Frozen classes are what `dataclasses` would have made: each has a twin that it did make."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, ClassVar

import pytest

from streameval.frozen import frozen


@frozen
class Point:
    """Two numbers."""

    unit: ClassVar[str] = "m"

    x: float
    y: float = 0.5
    notes: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="s", repr=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError(self.x)

    @property
    def size(self) -> float:
        """Its distance from the origin."""
        return math.hypot(self.x, self.y)


FrozenPoint = Point


@dataclass(frozen=True, slots=True)
class Point:  # type: ignore[no-redef]
    """Two numbers."""

    unit: ClassVar[str] = "m"

    x: float
    y: float = 0.5
    notes: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="s", repr=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError(self.x)

    @property
    def size(self) -> float:
        """Its distance from the origin."""
        return math.hypot(self.x, self.y)


TWINS = [FrozenPoint, Point]


@frozen
class One:
    """A single field, of which an attrgetter would make no tuple."""

    value: Any


@frozen
class Nothing:
    """No field."""


@frozen(eq=False, repr=False)
class Plain:
    """Compared by identity."""

    value: int

    def __repr__(self) -> str:
        return "plain"


@frozen
class Own:
    """Says itself how it is made and compared."""

    value: int

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "value", len(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.value % 2 == other.value % 2


@frozen
class Unhashable:
    """Says itself that it has no hash."""

    value: int
    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Child(Own):
    """A dataclass of its own beneath."""

    more: int = 3

    def __init__(self) -> None:
        super().__init__("abc")
        object.__setattr__(self, "more", 4)


@frozen
class Further(FrozenPoint):
    """A frozen one beneath another."""

    z: float = 1.0


FrozenFurther = Further


@dataclass(frozen=True, slots=True)
class Further(Point):  # type: ignore[no-redef]
    """A frozen one beneath another."""

    z: float = 1.0


class Loose(Plain):
    """A subclass with attributes of its own."""

    def __init__(self) -> None:
        super().__init__(5)
        self.extra = 6


def same(what: Any, twins: Any = TWINS) -> Any:
    """What `what(class)` comes to, or raises, for both twins, which must be the same."""
    found = []
    for one in twins:
        try:
            found.append(what(one))
        except Exception as error:
            found.append((type(error), str(error)))
    assert found[0] == found[1]
    return found[0]


def test_they_are_made_alike() -> None:
    assert same(lambda kind: str(inspect.signature(kind))).startswith("(x: 'float', y: 'float' = 0.5, notes:")
    assert same(lambda kind: kind.__init__.__annotations__)["return"] is None
    assert same(lambda kind: [one.name for one in dataclasses.fields(kind)]) == ["x", "y", "notes", "secret"]
    assert same(lambda kind: kind.__slots__) == ("x", "y", "notes", "secret")
    assert same(lambda kind: kind.__match_args__) == ("x", "y", "notes")
    assert same(lambda kind: (kind.__doc__, kind.__qualname__, kind.unit)) == ("Two numbers.", "Point", "m")
    assert same(lambda kind: repr(kind(1, notes=["a"]))) == "Point(x=1, y=0.5, notes=['a'])"
    assert same(lambda kind: dataclasses.asdict(kind(1, 2, secret="t")))["secret"] == "t"
    assert same(lambda kind: dataclasses.replace(kind(3), y=4).size) == 5.0
    for arguments in ((), (1, 2, [], "s"), (-1,)):
        assert same(lambda kind, given=arguments: kind(*given))[0] in (TypeError, ValueError)
    assert same(lambda kind: kind(1, z=1))[0] is TypeError


def test_what_is_made_anew_is_nobody_elses() -> None:
    first, second = FrozenPoint(1), FrozenPoint(1)
    first.notes.append("mine")
    assert second.notes == []


def test_they_are_compared_alike() -> None:
    nan = math.nan
    assert same(lambda kind: kind(1, 2) == kind(1, 2, ["other"]))
    assert same(lambda kind: hash(kind(1, 2))) == hash((1, 2, "s"))
    assert not same(lambda kind: kind(1, 2) == (1, 2))
    # As tuples are, on every Python; from 3.13 on `dataclasses` compares field by field.
    assert FrozenPoint(1, nan) == FrozenPoint(1, nan)
    assert FrozenPoint(1, nan) != FrozenPoint(1, -math.nan * 2)
    assert not same(lambda kind: kind(1, secret="a") == kind(1, secret="b"))
    assert FrozenPoint(1) != Point(1)
    assert One((1,)) == One((1,)) != One(1)
    assert hash(One(1)) == hash((1,))
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(())
    assert repr(Nothing()) == "Nothing()"
    assert Plain(1) != Plain(1)
    assert repr(Plain(1)) == "plain"
    assert len({Plain(1), Plain(1)}) == 2


def test_what_a_class_says_itself_stays() -> None:
    assert Own("ab") == Own("abcd") != Own("abc")
    assert hash(Own("ab")) == hash((2,))
    assert Child() == Own("a")
    assert Child().more == 4
    with pytest.raises(TypeError, match="unhashable"):
        hash(Unhashable(1))


def test_no_field_is_changed() -> None:
    assert same(lambda kind: setattr(kind(1), "x", 2))[0] is FrozenInstanceError
    assert same(lambda kind: delattr(kind(1), "x"))[0] is FrozenInstanceError
    assert not same(lambda kind: hasattr(kind(1), "__dict__"))
    # Of names that are no fields `dataclasses` says that `super` was called with another class.
    with pytest.raises(FrozenInstanceError):
        FrozenPoint(1).other = 3  # type: ignore[attr-defined]


def test_one_inherits_from_another() -> None:
    twins = [FrozenFurther, Further]
    assert same(lambda kind: repr(kind(1, z=3)), twins) == "Further(x=1, y=0.5, notes=[], z=3)"
    assert same(lambda kind: str(inspect.signature(kind)), twins).endswith(
        "z: 'float' = 1.0, *, secret: 'str' = 's') -> None"
    )
    assert same(lambda kind: hash(kind(1)), twins) == hash((1, 0.5, "s", 1.0))
    assert same(lambda kind: kind.__slots__, twins) == ("z",)
    for name in ("x", "z"):
        assert same(lambda kind, name=name: setattr(kind(1), name, 2), twins)[0] is FrozenInstanceError
    with pytest.raises(TypeError, match="non-frozen"):

        @frozen
        class Wrong(dataclass(type("Base", (), {"__annotations__": {"value": int}}))):  # type: ignore[misc]
            more: int = 0


def test_a_subclass_has_attributes_of_its_own() -> None:
    loose = Loose()
    loose.extra = 7
    assert loose.extra == 7
    del loose.extra
    for change in (
        lambda: setattr(loose, "value", 6),
        lambda: delattr(loose, "value"),
        lambda: setattr(Child(), "value", 1),
    ):
        with pytest.raises(FrozenInstanceError):
            change()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_copies_and_pickles_are_equal(protocol: int) -> None:
    for value in (One([1, nan := math.nan]), Own("abc"), Nothing()):
        for other in (copy.copy(value), pickle.loads(pickle.dumps(value, protocol))):
            assert type(other) is type(value)
            assert repr(other) == repr(value)
    deep = copy.deepcopy(One([1]))
    assert deep == One([1])
    assert math.isnan(nan)


def test_one_that_holds_itself_is_shown() -> None:
    value = One([])
    value.value.append(value)
    assert repr(value) == "One(value=[...])"


def test_a_field_that_is_not_given_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong: a field that __init__ does not take, expected none\."):

        @frozen
        class Wrong:
            value: int = field(init=False)
