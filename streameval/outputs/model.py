"""The stand-in for a model that is not here: whose outputs were saved. Knows what a report says of it."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from streameval.frozen import frozen
from streameval.outputs import summary_of_saved


@frozen(eq=False)
class SavedModel:
    """What computed the outputs of a run, as far as the file tells. Fulfils `Model`.

    path     of the file
    sha256   of the values that are used, and of their rows' classes
    outputs  classes; 1 where a row has a value alone
    column   of the source's values, where this run's begin
    kept     what a row has there: a "value"; the log-probability of the true class and the predicted class ("chosen"),
             or those of all classes and the predicted one ("whole"); outputs and as many targets ("pairs")
    saved    what a report says of the file: format, column, rows left out, ...
    notes    what a reader must know
    """

    path: str | None
    sha256: str
    outputs: int
    column: int
    kept: str = field(default="value", kw_only=True)
    saved: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """See `Model`."""
        return summary_of_saved(self.saved)

    def describe(self) -> dict[str, Any]:
        """See `Model`; no layers are known."""
        return {"layers": [self.outputs], "activations": [], "saved": self.saved}
