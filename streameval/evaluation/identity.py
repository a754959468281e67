"""What a pass is of: model, data, rows, the meaning of the loss. Parts of passes join only if all of it is the same."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.models.mlp import Mlp
from streameval.storage.input_files import input_files
from streameval.storage.source import Source, Span

# What the bits of a state mean. Raise it whenever a kernel, the fold or the blocks begin to give other bits:
# checkpoints, shards and certificates of other meanings are then refused. A test pins the digest of each meaning.
MEANING = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be equal for two parts of a pass to belong together.

    model      SHA-256 of the network
    data       fingerprint of the data set
    eps        the eps of the loss
    rows       "all", "START:STOP", or "sha256:..." over row numbers as int64
    total      number of rows in that selection; parts are numbered by their place in it
    nonfinite  whether rows that are not finite are left out (True) or refused
    meaning    see MEANING
    """

    model: str
    data: str
    eps: float
    rows: str
    total: int
    nonfinite: bool
    meaning: int = MEANING

    @classmethod
    def of(
        cls, model: Mlp, source: Source, which: Span | NDArray[np.int64], *, eps: float, nonfinite: bool
    ) -> Identity:
        """The identity of evaluating `model` on the rows `which` of `source`."""
        return cls(
            model.sha256, source.fingerprint, float(eps), name_rows(which, source), len(which), nonfinite
        )

    def differences(self, other: Identity) -> str:
        """What `other` has that is not the same here: "data sha256:1, expected sha256:2; ..."; "" if nothing."""
        pairs = ((one.name, getattr(other, one.name), getattr(self, one.name)) for one in fields(self))
        return "; ".join(
            f"{name} {found}, expected {wanted}" for name, found, wanted in pairs if found != wanted
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON; eps in hexadecimal."""
        return asdict(self) | {"eps": self.eps.hex()}

    @classmethod
    def from_dict(cls, stored: Any) -> Identity:
        """What `to_dict` wrote. Raises DataError if it is damaged."""
        try:
            return cls(
                str(stored["model"]),
                str(stored["data"]),
                float.fromhex(stored["eps"]),
                str(stored["rows"]),
                int(stored["total"]),
                bool(stored["nonfinite"]),
                int(stored["meaning"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a stored identity is damaged: {error!r}. Compute it again.") from error


def inputs(model: Mlp, source: Source) -> dict[str, tuple[str, ...]]:
    """The files that a pass reads, for `files.check_outputs`."""
    return {"the model": input_files(model.path or ()), "the data": input_files(source)}


def name_rows(which: Span | NDArray[np.int64], source: Source) -> str:
    """A name for a selection of rows that is equal only for equal selections."""
    if isinstance(which, Span):
        return "all" if which == Span(0, source.rows) else f"{which.start}:{which.stop}"
    return f"sha256:{hashlib.sha256(which.astype('<i8', copy=False).tobytes()).hexdigest()}"
