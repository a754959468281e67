"""Which columns of a table mean what, and what becomes of stored values, as the options below say it.

Knows how numbers are written down. Does not know any table.
"""

from __future__ import annotations

from typing import Any

from streameval.cli import options
from streameval.errors import UsageError
from streameval.frozen import frozen


@frozen
class ColumnOptions:
    """What was given of the options below."""

    scale: float | None = None
    features: str | None = None
    target: str | None = None
    image: str | None = None
    mean: str | None = None
    std: str | None = None

    @property
    def of_data(self) -> bool:
        """Whether something was given that no model has: columns, or what normalises them."""
        return any((self.features, self.target, self.image, self.mean, self.std))

    def opening(self) -> dict[str, Any]:
        """What `streameval.open` is told: what was given, by its names. Raises UsageError for what is no number."""
        found = {
            "scale": self.scale,
            "features": self.features,
            "target": self.target,
            "image": self.image,
            "mean": numbers("--mean", self.mean),
            "std": numbers("--std", self.std),
        }
        return {name: value for name, value in found.items() if value is not None}


def numbers(option: str, text: str | None) -> list[float] | None:
    """The numbers of an option, with commas between. Raises UsageError for what is none."""
    found = []
    for part in [] if text is None else text.split(","):
        try:
            found.append(float(part))
        except ValueError:
            raise UsageError(
                f"{option}: {options.shown(part)} is no number. Expected such as 0.5, or 0.5,0.4,0.3."
            ) from None
    return None if text is None else found


column_options = options.gathered(
    "columns",
    ColumnOptions,
    options.option(
        "--scale",
        metavar="FACTOR",
        type=options.factor,
        help="From stored values to features, such as 1/255, instead of the recorded one.",
    ),
    options.option(
        "--features",
        metavar="C,...",
        help="Columns of features of a table (.parquet, .csv, ...), with commas between, or a pattern such as "
        "'pixel*'. Default: told by names and types.",
    ),
    options.option(
        "--target", metavar="C", help="Column of class numbers, or columns of weights of the classes."
    ),
    options.option(
        "--image", metavar="C", help="Column of images, PNG or JPEG or arrays, in place of --features."
    ),
    options.option(
        "--mean",
        metavar="M,...",
        help="Features are (value * scale - mean) / std: one number, or one for each channel, with commas between.",
    ),
    options.option("--std", metavar="S,...", help="The same."),
)
