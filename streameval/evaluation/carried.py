"""Results that can be pickled and copied: they carry names and hashes of model and data, not the two themselves.

Knows which fields of a result are models or data sets. Does not know what else is in it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from streameval.evaluation.names import DataName, ModelName, data_dict, model_dict
from streameval.showing import Shown
from streameval.storage.source import is_source


class Carried(Shown):
    """A result, a dataclass with fields such as `model` or `models`, and `data`.

    What is pickled, or copied deeply, has a `ModelName` and a `DataName` there: no weights, no rows, no open file. It
    says the same as the result itself; rows and pictures of the worst of them are only at hand where the data are.
    A shallow copy shares everything.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: _named(value) for name, value in self._values().items()}
        if "data" in values and "model" in values:
            values["data"] = _data_name(self._values()["data"], self._values()["model"])
        elif "data" in values:
            values["data"] = _data_name(self._values()["data"], self._values()["models"][0])
        return _rebuilt, (type(self), values)

    def __copy__(self) -> Any:
        return _rebuilt(type(self), {one.name: getattr(self, one.name) for one in fields(self)})  # type: ignore[arg-type]

    def _values(self) -> dict[str, Any]:
        """The fields, as they are to be carried."""
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]


def _named(value: Any) -> Any:
    """A model as its name, also within a tuple; anything else as it is."""
    if isinstance(value, tuple) and value and all(map(_is_model, value)):
        return tuple(map(_named, value))
    if not _is_model(value) or isinstance(value, ModelName):
        return value
    said = model_dict(value)
    description = {name: one for name, one in said.items() if name not in ("path", "sha256")}
    return ModelName(value.path, value.sha256, description, getattr(value, "multiply_adds", 0))


def _data_name(data: Any, model: Any) -> Any:
    joined = getattr(data, "joined", None)
    return (
        DataName(**data_dict(data, model.outputs), joined=joined, merged=False) if is_source(data) else data
    )


def _is_model(value: Any) -> bool:
    return hasattr(type(value), "describe") and hasattr(value, "sha256")


def _rebuilt(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind(**values)
