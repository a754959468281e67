"""The result of an evaluation: what was computed, of what, at what cost.

Knows the names of the contract. Does not know how it looks on a screen: `reports` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streameval.evaluation.blocks import BLOCK_ROWS, Tally
from streameval.evaluation.identity import MEANING, Identity
from streameval.evaluation.resources import Resources
from streameval.evaluation.sealed import seal
from streameval.evaluation.state import State
from streameval.models.mlp import Mlp
from streameval.storage.source import Source

SCHEMA = "streameval/evaluate/1"
LOSS = "-sum_k t_k log(y_k + eps), y = softmax(network(x)), in nats; eps = 0: from the logits by log-sum-exp"
UNIT = "a loss counts as rint(loss * 2**40) units"


@dataclass(frozen=True, slots=True)
class ModelName:
    """What is known of a model that is not here: as `Mlp` names it."""

    path: str | None
    sha256: str
    sizes: tuple[int, ...]
    activations: tuple[str, ...]

    @property
    def classes(self) -> int:
        """Number of outputs of the last layer."""
        return self.sizes[-1]

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ModelName:
        """What `model_dict` wrote."""
        return cls(stored["path"], stored["sha256"], tuple(stored["layers"]), tuple(stored["activations"]))


@dataclass(frozen=True, slots=True)
class DataName:
    """What is known of a data set that is not here: as `Source` names it."""

    path: str | None
    rows: int
    features: int
    classes: int
    fingerprint: str

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> DataName:
        """What `data_dict` wrote."""
        return cls(*(stored[name] for name in ("path", "rows", "features", "classes", "fingerprint")))


@dataclass(frozen=True, repr=False)
class Report:
    """The loss of a model over rows of a data set, exactly, and what belongs to it.

    state      the exact sums; the properties below are read off it
    eps        E = -sum_k t_k log(y_k + eps); 0 is the exact log-softmax
    model, data   what was evaluated; of merged shards, its names
    resources  what it cost
    tally      the state with the digests of blocks, where a pass kept them
    identity   what the pass was of, where it was a shard, had a checkpoint or ran on an engine
    """

    state: State
    eps: float
    model: Mlp | ModelName
    data: Source | DataName
    resources: Resources
    tally: Tally | None = None
    identity: Identity | None = None

    @property
    def loss(self) -> float | None:
        """Mean loss in nats, None without rows."""
        return self.state.loss

    @property
    def loss_sum(self) -> float:
        """Sum of the losses in nats."""
        return self.state.loss_sum

    @property
    def rows(self) -> int:
        """Rows in the sums; repeats count."""
        return self.state.rows

    @property
    def correct(self) -> int:
        """Rows whose largest logit is at the true class (for soft targets: at their largest entry)."""
        return self.state.correct

    @property
    def accuracy(self) -> float | None:
        """correct / rows, None without rows."""
        return self.correct / self.rows if self.rows else None

    @property
    def stddev(self) -> float | None:
        """Standard deviation of the losses (ddof 1), None for fewer than two rows."""
        return self.state.stddev

    @property
    def stderr(self) -> float | None:
        """stddev / sqrt(rows): the standard error of a random sample of so many rows."""
        return self.state.stderr

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the state: the same bits for any chunks, threads, order of rows, and storage."""
        return self.state.digest

    def __repr__(self) -> str:
        return (
            f"<Report: loss {self.loss} of {self.rows} rows, accuracy {self.accuracy}, digest {self.digest}>"
        )

    @property
    def blocks(self) -> tuple[str, ...] | None:
        """Digests of the states of the blocks of 65,536 rows, if all rows were evaluated in order, else None."""
        everything = self.identity is None or self.identity.rows == "all"
        return self.tally.blocks(self.data.rows) if self.tally is not None and everything else None

    def to_dict(self) -> dict[str, Any]:
        """The report with the contract's names, ready for JSON.

        `sha256` is that of the rest (see `sealed`); with `state`, `meaning` and `blocks` it is what `verify` checks.
        """
        return seal(self._content())

    def _content(self) -> dict[str, Any]:
        state = self.state
        return {
            "schema": SCHEMA,
            "loss": self.loss,
            "loss_sum": self.loss_sum,
            "rows": self.rows,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "stddev": self.stddev,
            "stderr": self.stderr,
            "min": state.smallest if self.rows else None,
            "max": state.largest if self.rows else None,
            "left_out": state.left_out,
            "eps": self.eps,
            "digest": self.digest,
            "per_class": [
                {"class": k, "rows": one.rows, "loss": one.loss, "accuracy": one.accuracy}
                for k, one in enumerate(state.classes)
            ],
            "confusion": [list(row) for row in state.confusion],
            "worst": [{"row": row, "loss": loss} for loss, row in state.worst],
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.classes),
            "resources": self.resources.to_dict(),
            "meaning": {"version": MEANING, "loss": LOSS, "unit": UNIT},
            "state": state.to_dict(),
            "blocks": None if self.blocks is None else {"rows": BLOCK_ROWS, "digests": list(self.blocks)},
        }


def model_dict(model: Mlp | ModelName) -> dict[str, Any]:
    """What identifies a model in a report."""
    return {
        "path": model.path,
        "sha256": model.sha256,
        "layers": list(model.sizes),
        "activations": list(model.activations),
    }


def data_dict(source: Source | DataName, classes: int) -> dict[str, Any]:
    """What identifies a data set in a report; `classes` is used where the data set does not say."""
    return {
        "path": source.path,
        "rows": source.rows,
        "features": source.features,
        "classes": classes if source.classes is None else source.classes,
        "fingerprint": source.fingerprint,
    }
