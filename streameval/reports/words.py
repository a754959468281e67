"""How a result is called: a model on a data set or saved outputs, a loss or a score, and in which unit.

Knows words. Does not know how anything is laid out.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streameval.evaluation.names import DataName
    from streameval.losses.loss import Loss
    from streameval.models.model import Model
    from streameval.reports.page import Page
    from streameval.storage.source import Source

UNIT = re.compile(r",? nats(?=[\s.:,]|$)")


def subject(model: Model, data: Source | DataName) -> str:
    """What was evaluated."""
    where = data.path or "arrays in memory"
    if "saved" in model.describe():
        return f"saved outputs, {data.path or 'in memory'}"
    return f"{model.path or 'the model'} on {where}"


def called(loss: Loss) -> str:
    """What a row's value is: a loss, or a score, of which more is better; the accuracy by its name."""
    if getattr(loss, "column", None) == "accuracy" and more_is_better(loss):
        return "accuracy"
    return "score" if more_is_better(loss) else "loss"


def more_is_better(loss: Loss) -> bool:
    """Whether a row is better the more it has."""
    return bool(getattr(loss, "higher_is_better", False))


def in_unit(text: str, loss: Loss) -> str:
    """A number with its unit, where it has one."""
    return f"{text} {loss.unit}".rstrip()


def in_words_of(loss: Loss, page: Page) -> Page:
    """The page with the loss's own words in its figures: no nats where none are meant, scores where they are."""
    if loss.unit == "nats":
        return page
    return replace(page, figures=tuple(_reworded(figure, loss) for figure in page.figures))


def _reworded(part: Any, loss: Loss) -> Any:
    if isinstance(part, str):
        return UNIT.sub("", part)
    if isinstance(part, tuple):
        return tuple(_reworded(one, loss) for one in part)
    if is_dataclass(part) and not isinstance(part, type):
        changed = replace(
            part, **{one.name: _reworded(getattr(part, one.name), loss) for one in fields(part)}
        )
        # A page is there, and with it what it is made of.
        from streameval.reports.figures.plot import Axis

        if isinstance(changed, Axis):
            return replace(changed, label=re.sub(r"\bloss\b", called(loss), changed.label))
        return changed
    return part
