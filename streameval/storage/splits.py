"""Files that are called as parts of which each has a purpose of its own, train and test, are hardly one data set.

Knows names. Does not know files.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Final

from streameval.errors import StreamevalWarning

SPLITS: Final = frozenset({"train", "training", "test", "val", "valid", "validation", "dev"})


def warn_of_several(folder: str, names: Iterable[str], example: str) -> None:
    """Warn if files in a folder that is read whole are called by different splits: train.arrow and test.arrow, or
    train-00000-of-00002.parquet, or mnist_train.csv. A list or a pattern says what is meant.

    example  how files of one split are named there, with SPLIT for the word
    """
    found: dict[str, str] = {}
    for name in names:
        words = {word.lower(): word for word in re.findall("[A-Za-z]+", name) if word.lower() in SPLITS}
        if len(words) == 1:
            found |= words
    if len(found) > 1:
        warnings.warn(
            f"{folder}: files called {' and '.join(found)} lie there, and are read as one data set. For one of them "
            f"name {example.replace('SPLIT', next(iter(found.values())))}",
            StreamevalWarning,
            stacklevel=2,
        )
