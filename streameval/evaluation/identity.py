"""What a pass is of: model, data, rows, loss, meaning of the bits. Parts of passes join only if all are the same."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from typing import Any

from streameval import losses
from streameval.evaluation.fields import differing, flag, intact, integer, only, sha256, shown, text
from streameval.evaluation.sealed import canonical
from streameval.evaluation.selection import Selection
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.storage.input_files import input_files
from streameval.storage.source import Source

# What the bits of a state mean. Raise it whenever a kernel, the fold or the blocks begin to give other bits:
# checkpoints, shards and certificates of other versions are then refused. A test pins the digest of each version.
RESULT_VERSION = 1
ROWS = re.compile(r"all|[0-9]{1,18}:[0-9]{1,18}|sha256:[0-9a-f]{64}")


@frozen
class Identity:
    """What must be equal for two parts of a pass to belong together.

    model      SHA-256 of the model
    data       fingerprint of the data set
    loss       what a row costs
    rows       "all", "START:STOP", or "sha256:..." over row numbers as int64
    total      number of rows in that selection; parts are numbered by their place in it
    nonfinite  whether rows that are not finite are left out (True) or refused
    meaning    see RESULT_VERSION
    anatomy    how losses are taken apart, `Anatomist.named`; "" where nobody asked
    """

    model: str
    data: str
    loss: Loss
    rows: str
    total: int
    nonfinite: bool
    meaning: int = RESULT_VERSION
    anatomy: str = ""

    @classmethod
    def of(
        cls,
        model: Model,
        source: Source,
        selection: Selection,
        loss: Loss,
        *,
        nonfinite: bool,
        anatomy: str = "",
    ) -> Identity:
        """The identity of evaluating `model` on the selected rows of `source`."""
        rows = selection.name(source)
        return cls(model.sha256, source.fingerprint, loss, rows, len(selection), nonfinite, anatomy=anatomy)

    def differences(self, other: Identity) -> str:
        """What `other` has that is not the same here: "data sha256:1, expected sha256:2; ..."; "" if nothing."""
        theirs, mine = ({one.name: getattr(of, one.name) for one in fields(of)} for of in (other, self))
        return differing(theirs, mine)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        stored = asdict(self) | {"loss": self.loss.to_dict()}
        if not self.anatomy:
            del stored["anatomy"]  # earlier versions know no such field
        return stored

    @classmethod
    def from_dict(cls, stored: Any) -> Identity:
        """What `to_dict` wrote, or an earlier version, which knew cross-entropy alone. DataError if it is damaged."""
        with intact("a stored identity", "it"):
            only(stored, ("model", "data", "loss", "eps", "rows", "total", "nonfinite", "meaning", "anatomy"))
            loss = losses.from_dict(stored.get("loss") or {"name": "cross-entropy", "eps": stored["eps"]})
            found = cls(
                sha256(stored, "model"), text(stored, "data"), loss, text(stored, "rows"),
                integer(stored, "total", least=0, most=2**63 - 1), flag(stored, "nonfinite"),
                integer(stored, "meaning"),
                text(stored, "anatomy") if "anatomy" in stored else "",
            )  # fmt: skip
            if "loss" in stored and canonical(loss.to_dict()) != canonical(stored["loss"]):
                raise ValueError(f"the loss is {shown(stored['loss'])}")
            if not ROWS.fullmatch(found.rows):
                raise ValueError(f"rows are {shown(found.rows)}")
        return found

    def first(self) -> int | None:
        """The number of the row at place 0 where rows are consecutive, None where row numbers were given.

        Raises ValueError where they are not as many as there are.
        """
        if self.rows == "all":
            return 0
        start, colon, stop = self.rows.partition(":")
        if start == "sha256":
            return None
        if not colon or int(stop) - int(start) != self.total:
            raise ValueError(f"{self.total} rows in {self.rows}")
        return int(start)


def inputs(source: Source, *models: Model) -> dict[str, tuple[str, ...]]:
    """The files that a pass reads, for `files.check_outputs`."""
    return {
        "the model": tuple(
            path
            for model in models
            for path in (*input_files(model.path or ()), *getattr(model, "files", ()))
        ),
        "the data": input_files(source),
    }
