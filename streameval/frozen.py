"""Frozen dataclasses with slots, made in a third of the time that `dataclasses` takes.

It compiles six functions for every class, and a warm command imports a hundred of them, which took an eighth of its
time. Here `__init__` alone is compiled; what else a class is given are functions that know its fields.
"""

from __future__ import annotations

import dataclasses
import operator
import reprlib
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, field
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, eq: bool = True, repr: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: Any = None, /, *, eq: bool = True, repr: bool = True) -> Any:
    """Make a class what `dataclass(frozen=True, slots=True, eq=eq, repr=repr)` would make it.

    `dataclasses.fields`, `replace` and `asdict` take it, and `dataclass(frozen=True)` a subclass of it.

    Raises TypeError for a field that is not given to `__init__`, and for a base that is a dataclass and not frozen.
    """

    def wrap(cls: Any) -> Any:
        return _made(cls, eq, repr)

    return wrap if cls is None else wrap(cls)


def _made(cls: Any, eq: bool, repr: bool) -> Any:
    own = cls.__dict__
    # Left to `dataclasses` where it would not take one that is not frozen, which it makes faster.
    inherits = any(map(dataclasses.is_dataclass, cls.__mro__[1:]))
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, frozen=inherits, slots=True)(cls)
    fields = dataclasses.fields(made)
    if not all(one.init for one in fields):
        raise TypeError(f"{cls.__qualname__}: a field that __init__ does not take, expected none.")
    methods = _immutable(made, [one.name for one in fields])
    if "__init__" not in own:
        methods["__init__"] = _init(made, fields)
    if repr:
        methods["__repr__"] = _repr([one.name for one in fields if one.repr])
    if eq:
        methods["__eq__"], methods["__hash__"] = _equality([one.name for one in fields if one.compare])
        # Python itself puts a None there where a class says how it is compared.
        if own.get("__hash__", own) is None and "__eq__" in own:
            own = {name: value for name, value in own.items() if name != "__hash__"}
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    made.__dataclass_params__.frozen = True
    return made


def _init(made: Any, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """`__init__`: the fields in their order, those that are given by name alone last."""
    given: list[str] = ["self"]
    by_name: list[str] = []
    lines: list[str] = []
    known: dict[str, Any] = {"_set": object.__setattr__, "_new": _NEW}
    for one in fields:
        name, parameter, value = one.name, one.name, one.name
        if one.default is not MISSING:
            known[f"_default_{name}"] = one.default
            parameter = f"{name}=_default_{name}"
        elif one.default_factory is not MISSING:
            known[f"_make_{name}"] = one.default_factory
            parameter = f"{name}=_new"
            value = f"_make_{name}() if {name} is _new else {name}"
        (by_name if one.kw_only else given).append(parameter)
        lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join([*given, "*", *by_name] if by_name else given)
    exec(f"def __init__({parameters}):\n " + "\n ".join(lines or ["pass"]), known)
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__module__ = made.__module__
    init.__annotations__ = {one.name: one.type for one in fields} | {"return": None}
    return init


class _New:
    """The default of a field that is made anew for each object."""

    def __repr__(self) -> str:
        return "<factory>"


_NEW = _New()


def _immutable(made: Any, names: list[str]) -> dict[str, Any]:
    """What refuses to change a field, of a subclass too, and carries the fields of a copy or pickle nevertheless."""

    def refuse(self: Any, name: str, what: str) -> None:
        if type(self) is made or name in names:
            raise FrozenInstanceError(f"cannot {what} field {name!r}")

    def set_field(self: Any, name: str, value: Any) -> None:
        refuse(self, name, "assign to")
        super(made, self).__setattr__(name, value)

    def delete_field(self: Any, name: str) -> None:
        refuse(self, name, "delete")
        super(made, self).__delattr__(name)

    return {
        "__setattr__": set_field,
        "__delattr__": delete_field,
        "__getstate__": _state,
        "__setstate__": _set_state,
    }


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


def _repr(names: list[str]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def text(self: Any) -> str:
        values = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
        return f"{type(self).__qualname__}({values})"

    return text


def _equality(names: list[str]) -> tuple[Callable[[Any, Any], Any], Callable[[Any], int]]:
    # An attrgetter of one name gives a value, of more a tuple.
    values: Any = operator.attrgetter(*names) if len(names) > 1 else None
    if values is None:

        def values(self: Any) -> tuple[Any, ...]:
            return tuple([getattr(self, name) for name in names])

    def equal(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    return equal, hashed
