"""What a result says of model and data, and all that is left of them where they are not here.

Knows names and hashes. Does not know what was computed.
"""

from __future__ import annotations

from typing import Any

from streameval.evaluation.fields import integer, only, sha256, shown, text
from streameval.frozen import frozen
from streameval.models.model import Model
from streameval.outputs import summary_of_saved
from streameval.storage.source import Source


@frozen
class ModelName:
    """What is known of a model that is not here: what a report said of it. Fulfils `Model`.

    multiply_adds  a row, 0 where that is not known
    """

    path: str | None
    sha256: str
    description: dict[str, Any]
    multiply_adds: int = 0

    @property
    def outputs(self) -> int:
        """Numbers that come out for a row."""
        return int(self.description["layers"][-1])

    @property
    def summary(self) -> str:
        """See `Model`."""
        if "saved" in self.description:
            return summary_of_saved(self.description["saved"])
        if "computed_by" in self.description:
            said = self.description
            return f"{said.get('name')}, {self.outputs} {said.get('returns')} a row, computed by {said['computed_by']}"
        layers = "-".join(map(str, self.description["layers"]))
        return f"{layers}, {', '.join(self.description['activations'])}"

    def describe(self) -> dict[str, Any]:
        """See `Model`."""
        return self.description

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be decided to read it."""
        return tuple(self.description.get("notes", ()))

    @property
    def content(self) -> dict[str, Any]:
        """The description without notes: the same for models that are the same, however they were read."""
        return {name: value for name, value in self.description.items() if name != "notes"}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ModelName:
        """What `model_dict` wrote. Raises ValueError, KeyError or TypeError for what it did not."""
        # An earlier version kept no notes.
        others = {"notes": []} | {
            name: value for name, value in stored.items() if name not in ("path", "sha256")
        }
        layers, activations = others["layers"], others["activations"]
        for k in range(len(layers)):
            integer(layers, k, least=1, most=2**63 - 1)
        for names in (activations, others.get("notes", [])):
            if not layers or not isinstance(names, list) or not all(isinstance(one, str) for one in names):
                raise ValueError(f"layers {shown(layers)} and activations or notes {shown(names)}")
        return cls(text(stored, "path", none=True), sha256(stored, "sha256"), others)


@frozen
class DataName:
    """What is known of a data set that is not here: as `Source` names it.

    merged  of shards that were computed elsewhere; else the result was carried away from its data
    joined  how the runs of saved outputs were joined, where they are the data
    """

    path: str | None
    rows: int
    features: int
    classes: int
    fingerprint: str
    joined: Any = None
    merged: bool = True

    @property
    def name(self) -> str:
        """What messages call it."""
        return "<arrays>" if self.path is None else self.path

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> DataName:
        """What `data_dict` wrote. Raises ValueError, KeyError or TypeError for what it did not."""
        only(stored, ("path", "rows", "features", "classes", "fingerprint"))
        rows, features, classes = (
            integer(stored, name, least=1, most=2**63 - 1) for name in ("rows", "features", "classes")
        )
        return cls(text(stored, "path", none=True), rows, features, classes, text(stored, "fingerprint"))


def model_dict(model: Model) -> dict[str, Any]:
    """What identifies a model in a report, and what had to be decided to read it."""
    notes = {} if isinstance(model, ModelName) else {"notes": list(getattr(model, "notes", ()))}
    return {"path": model.path, "sha256": model.sha256, **model.describe(), **notes}


def data_dict(source: Source | DataName, classes: int) -> dict[str, Any]:
    """What identifies a data set in a report; `classes` is used where the data set does not say."""
    return {
        "path": source.path,
        "rows": source.rows,
        "features": source.features,
        "classes": classes if source.classes is None else source.classes,
        "fingerprint": source.fingerprint,
    }
