"""In which metrics of tools less is better. Knows names alone."""

from __future__ import annotations

import re
from typing import Final

# Errors, losses, distances and times; all else is taken for a score.
LESS: Final = re.compile(
    r"(?:^|[_\W])(?:perplexity|ppl|bits_per_byte|loss|nll|log_loss|cross_entropy|brier(?:_score)?|error|mse|rmse|mae|"
    r"ter|wer|cer|distance|latency|toxicity|ece)(?:$|[_\W])",
    re.IGNORECASE,
)


def less_is_better(metric: str) -> bool:
    """Whether a metric of this name is better the smaller it is."""
    return LESS.search(metric) is not None
