"""A report as a certificate: what it states, and whether that follows from what it carries.

Knows the report alone. Whether it is true of a model and data, `verify` finds out.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

from streameval import losses
from streameval.defaults import NATIVE
from streameval.errors import CheckError, DataError
from streameval.evaluation import sealed
from streameval.evaluation.anatomy import Anatomy
from streameval.evaluation.anatomy_consistency import check_anatomy
from streameval.evaluation.anatomy_report import anatomy_dict
from streameval.evaluation.consistency import Numbers, check_state
from streameval.evaluation.fields import UNSOUND, integer, only, sha256, shown
from streameval.evaluation.hashing import check_hashed
from streameval.evaluation.identity import RESULT_VERSION
from streameval.evaluation.names import DataName, ModelName, data_dict, model_dict
from streameval.evaluation.report import READABLE, SCHEMA, Report
from streameval.evaluation.resources import Resources, check_costs
from streameval.evaluation.state import State
from streameval.evaluation.tally import BLOCK_ROWS, Block, add_up
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring.outputs import OutputsScorer
from streameval.scoring.rounding import Rounding
from streameval.storage.source import Source, Span

# What nothing that is at hand can tell: what the evaluation cost, where files lay, and errors by group, since a report
# does not name its groups; and an anatomy, unless all rows are computed again. `Certificate.unknown` lists what a
# report says of these.
UNKNOWN = (
    "model.path",
    "model.notes",
    "data.path",
    "resources",
    "stderr_clustered",
    "groups",
    "accuracy_interval_clustered",
    "anatomy",
)
# What is compared with the model, data and scorer at hand, or block by block, and what says how to read the rest.
ELSEWHERE = (
    "model",
    "data",
    "scorer",
    "blocks",
    "check",
    "rounding",
    "schema",
    sealed.SEAL,
    sealed.SIGNATURE,
)
# Its ends go through logarithms, whose last bits may differ between machines.
ROUNDED = ("accuracy_interval",)
# All that the first version said.
FIRST = frozenset(
    [
        "schema",
        "loss",
        "loss_sum",
        "rows",
        "correct",
        "accuracy",
        "stddev",
        "stderr",
        "min",
        "max",
        "left_out",
        "eps",
        "digest",
        "per_class",
        "confusion",
        "worst",
        "model",
        "data",
        "resources",
        "meaning",
        "state",
        "blocks",
        "sha256",
    ]
)


@frozen(eq=False)
class Certificate:
    """A report that agrees with itself.

    name    of the report, for messages · said: its content
    state   the exact sums that it states · loss: what a row costs
    blocks  what it states of each block of rows · anatomy  what it states that losses are made of, None without
    """

    name: str
    said: dict[str, Any]
    state: State
    loss: Loss
    blocks: tuple[Block, ...]
    anatomy: Anatomy | None = None

    @property
    def adds_up(self) -> bool:
        """Whether the total follows from the blocks: an earlier version stated no sums of them."""
        return all(block.sums is not None for block in self.blocks)

    def rows_of(self, block: int) -> Span:
        """The rows of a block."""
        return Span(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, int(self.said["data"]["rows"])))

    @property
    def unknown(self) -> dict[str, Any]:
        """What the report says that cannot be compared with anything, by the names of `UNKNOWN`; null left out."""
        flat = {**self.said, **{f"{what}.path": self.said[what]["path"] for what in ("model", "data")}}
        flat["model.notes"] = self.said["model"].get("notes") or None
        known = {name: flat[name] for name in UNKNOWN if flat.get(name) is not None}
        # Of hashing that did not see all rows, nothing remains to compare.
        part = flat.get("check") is not None and flat["check"]["content"] is None
        return known | ({"check": flat["check"]} if part else {})

    def check_named(self, model: Model, source: Source) -> None:
        """Compare what is stated of model and data with these, paths apart, which may differ between copies.

        Needs only what is recorded beside the rows. Raises CheckError.
        """
        described = model.describe()
        computing = OutputsScorer.name if "saved" in described else described.get("computed_by", NATIVE)
        self.check_scorer(str(computing))
        if model.sha256 != self.said["model"]["sha256"]:
            raise CheckError(
                f"{model.path or 'the model'}: SHA-256 {model.sha256}, but {self.name} is about "
                f"{self.said['model']['sha256']} ({self.said['model']['path']}). Give the model that was evaluated."
            )
        if source.rows != self.said["data"]["rows"]:
            raise CheckError(
                f"{source.name}: {source.rows} rows, but {self.name} is about {self.said['data']['rows']}."
            )
        try:
            fingerprint = source.fingerprint
        except DataError as error:
            raise CheckError(f"{error} The data are not those of {self.name}.") from error
        if fingerprint != self.said["data"]["fingerprint"]:
            raise CheckError(
                f"{source.name}: fingerprint {fingerprint}, but {self.name} is about "
                f"{self.said['data']['fingerprint']} ({self.said['data']['path']}). Give the data that were evaluated."
            )
        named = model_dict(model)
        if model.path is not None and named.get("name") == model.path:
            named["name"] = self.said["model"]["path"]  # called after its file, which may be a copy
        for what, mine in (("model", named), ("data", data_dict(source, model.outputs))):
            for field in sorted((mine.keys() | self.said[what].keys()) - {"path", "notes"}):
                self._compare(f"{what}.{field}", self.said[what].get(field), mine.get(field))

    def check_rounding(self, found: Rounding | None) -> None:
        """Compare what rounding is stated to cost with what it costs here; float64 itself may differ in last digits."""
        said = self.said.get("rounding")
        if said is None or (found is not None and found.resembles(Rounding.from_dict(said))):
            return
        self._compare("rounding", said, None if found is None else found.to_dict())

    def check_scorer(self, name: str) -> None:
        """Compare who is stated to have computed the losses with who does here: others come to other bits."""
        if self.said["schema"] == SCHEMA and self.said["scorer"] != name:
            raise CheckError(
                f"{self.name}: its losses were computed by {shown(self.said['scorer'])}, but here by {name!r}, whose "
                "bits are others. Let the same compute them again: --with (in Python, the model as it was given then)."
            )

    def _compare(self, field: str, said: Any, mine: Any) -> None:
        if sealed.canonical(said) != sealed.canonical(mine):
            raise CheckError(
                f"{self.name}: {field} is {shown(said)}, but of what was given it is {shown(mine)}. Either the report "
                "was altered, or model and data were read in another way, with other options: evaluate again."
            )


def read_certificate(
    report: str | os.PathLike[str] | dict[str, Any], key: bytes | None = None
) -> Certificate:
    """Read a report over all rows, and compare it with itself: its hash, every number with the exact state, the state
    with the blocks.

    key  that it must be signed with, None for any

    Raises:
        CheckError: something does not follow from the rest, or is not signed with the key.
        DataError: no report of this kind, or one over a part of the rows. StorageError: a file cannot be read.
    """
    name, said = _content(report)
    if not sealed.is_sealed(said):
        raise CheckError(f"{name}: it was altered or damaged: its own SHA-256 does not fit. Evaluate again.")
    sealed.check_signature(name, said, key)
    try:
        _check_version(name, said)
        return _checked(name, said)
    except UNSOUND as error:
        if type(error) is DataError and said.get("blocks", ()) is None:
            raise
        raise CheckError(f"{name}: it is not whole ({str(error)[:300]!r}). Evaluate again.") from error


def _content(report: str | os.PathLike[str] | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The report's name for messages, and its content."""
    name, content = "the report", report
    if not isinstance(report, dict):
        name = os.fspath(report)
        try:
            content = sealed.load(name)
        except sealed.DamagedError as error:
            raise DataError(f"{error} Expected the output of: streameval evaluate --json") from None
    if not isinstance(content, dict) or content.get("schema") not in READABLE:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise DataError(
            f"{name}: schema {shown(schema)}, expected a report of streameval evaluate --json, {SCHEMA!r}."
        )
    return name, content


def _check_version(name: str, said: dict[str, Any]) -> None:
    version = said["meaning"]["version"]
    if type(version) is not int or version != RESULT_VERSION:
        raise CheckError(
            f"{name}: the digests have meaning {shown(version)}, this version of streameval computes "
            f"{RESULT_VERSION}. Verify with the version that made the report, or evaluate again."
        )
    if said["blocks"] is None:
        raise DataError(
            f"{name}: a report over a part of the rows carries no digests of blocks. Evaluate all rows to get one "
            "that can be verified."
        )


def _checked(name: str, said: dict[str, Any]) -> Certificate:
    rows = integer(said["data"], "rows", least=1, most=2**63)
    state = State.from_dict(said["state"])
    check_state(state, rows, Numbers(Span(0, rows)))
    # Earlier versions knew cross-entropy alone.
    parameters = said["meaning"].get("parameters") or {
        "name": "cross-entropy",
        "eps": float(said["eps"]).hex(),
    }
    loss = losses.from_dict(parameters)
    model, data = ModelName.from_dict(said["model"]), DataName.from_dict(said["data"])
    again = Report(state, loss, model, data, Resources(0.0, 0.0, 0, 0, 0), str(said.get("scorer"))).to_dict()
    wanted = json.loads(json.dumps(again))
    # Of scores, earlier versions listed the highest rows as the worst ones.
    if wanted["worst"] is None and said.get("worst") is not None:
        wanted["worst"] = [{"row": row, "loss": value} for value, row in state.sums.worst]
    # What was not said yet when the report was written.
    if said["schema"] != SCHEMA:
        del wanted["meaning"]["parameters"]
        wanted = {key: value for key, value in wanted.items() if key in FIRST}
    differing = [key for key in sorted(wanted.keys() | said.keys()) if not _follows(key, said, wanted)]
    if differing:
        key = differing[0]
        raise CheckError(
            f"{name}: {', '.join(differing)[:200]} do not follow from its exact state: {key} is "
            f"{shown(said.get(key, 'not there'))}, expected {shown(wanted.get(key, 'not there'))}. Evaluate again."
        )
    check_costs(said["resources"], rows)
    if said.get("rounding") is not None:
        Rounding.from_dict(said["rounding"])
    anatomy = None if said.get("anatomy") is None else _anatomy(said["anatomy"], state)
    if said.get("check") is not None:
        check_hashed(said["check"], rows, said["data"]["fingerprint"])
    found = Certificate(name, said, state, loss, _blocks(name, said, rows), anatomy)
    if not add_up(state, found.blocks):
        raise CheckError(
            f"{name}: its blocks come to {sum(one.sums.units for one in found.blocks if one.sums)} units, but it "
            f"states {state.sums.units} over {state.sums.rows} rows, or they have other rows, extremes or classes. "
            "Evaluate again."
        )
    return found


def _follows(key: str, said: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether what is said is what follows from the state, to the last bit but for `ROUNDED`."""
    if key in ELSEWHERE or key in UNKNOWN:
        return key in said or key == sealed.SIGNATURE or key not in wanted
    if key not in said or key not in wanted:
        return False
    if key in ROUNDED:
        return _alike(said[key], wanted[key])
    return sealed.canonical(said[key]) == sealed.canonical(wanted[key])


def _alike(said: Any, wanted: Any) -> bool:
    """Whether two values agree, numbers with a point to nine digits."""
    if type(said) is not type(wanted):
        return False
    if isinstance(wanted, dict):
        return said.keys() == wanted.keys() and all(_alike(said[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(said) == len(wanted) and all(map(_alike, said, wanted))
    if isinstance(wanted, float):
        return math.isclose(said, wanted, rel_tol=1e-9, abs_tol=1e-15)
    return bool(said == wanted)


def _anatomy(said: Any, state: State) -> Anatomy:
    """What is stated. Raises DataError or ValueError for one that no rows of the state come to, or whose numbers do not
    follow from its own counts."""
    found = Anatomy.from_dict(said["state"])
    check_anatomy(found, state, Numbers(Span(0, state.rows + state.sums.left_out)))
    if not _alike(said, json.loads(json.dumps(anatomy_dict(found, state)))):
        raise ValueError("its anatomy does not follow from its exact counts")
    return found


def _blocks(name: str, said: dict[str, Any], rows: int) -> tuple[Block, ...]:
    stated = said["blocks"]
    only(stated, ("rows", "digests", "parts"))
    digests, count = stated["digests"], -(-rows // BLOCK_ROWS)
    if integer(stated, "rows") != BLOCK_ROWS or len(digests) != count:
        raise CheckError(
            f"{name}: {len(digests)} blocks of {stated['rows']} rows, expected {count} of {BLOCK_ROWS} for "
            f"{rows} rows. Evaluate again."
        )
    if "parts" not in stated:  # an earlier version kept digests alone
        if said["schema"] == SCHEMA:
            raise KeyError("blocks.parts")
        return tuple(Block(sha256(digests, k)) for k in range(count))
    spans = Span(0, rows).cut(BLOCK_ROWS)
    pairs = zip(digests, stated["parts"], spans, strict=True)
    blocks = tuple(
        Block.from_dict({**part, "digest": digest}, len(span), Numbers(span)) for digest, part, span in pairs
    )
    for block, digest, part in zip(blocks, digests, stated["parts"], strict=True):
        if sealed.canonical(block.to_dict()) != sealed.canonical({"digest": digest, **part}):
            raise ValueError("a block says more, or other, than a block does")
    return blocks
