"""The looks of a study that reads until something is known: kept for its result, told to whoever watches."""

from __future__ import annotations

from collections.abc import Callable

from streameval.statistics.until import Step

OnStep = Callable[[Step], None]


def recorder(on_step: OnStep | None) -> tuple[list[Step], OnStep]:
    """Return a list, and a function that appends every step to it and hands it on to `on_step`, if there is one."""
    steps: list[Step] = []

    def record(step: Step) -> None:
        steps.append(step)
        if on_step is not None:
            on_step(step)

    return steps, record
