"""How losses are spread: rows and loss by size of loss, over many powers of ten. Knows losses, as a mapped file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.elementary import power_of_ten
from streameval.frozen import frozen
from streameval.statistics.population import PIECE

FROM, TO, PER_DECADE = -6, 3, 4
EDGES: NDArray[np.float64] = power_of_ten(np.arange(FROM * PER_DECADE, TO * PER_DECADE + 1) / PER_DECADE)


@frozen
class Histogram:
    """Counts by loss, in bins of equal ratio, four to a power of ten.

    edges  (k + 1,) ascending, in nats: bin i holds edges[i] <= loss < edges[i + 1]; the first bin also holds
           every smaller loss (with eps > 0 the smallest is -log(1 + eps)), the last also every larger one
    rows   (k,) rows of each bin · loss (k,) their summed loss, in nats
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    loss: tuple[float, ...]

    @classmethod
    def of(cls, losses: Any) -> Histogram:
        """Count (n,) finite losses, in pieces of 8 MB; empty bins at both ends are left out."""
        rows, loss = np.zeros(len(EDGES) - 1, np.int64), np.zeros(len(EDGES) - 1)
        for start in range(0, len(losses), PIECE):
            piece = np.asarray(losses[start : start + PIECE], np.float64)
            bin_of_row = np.clip(np.searchsorted(EDGES, piece, "right") - 1, 0, len(rows) - 1)
            rows += np.bincount(bin_of_row, minlength=len(rows))
            loss += np.bincount(bin_of_row, piece, len(rows))
        used = np.flatnonzero(rows)
        first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
        part = slice(first, last + 1)
        return cls(
            tuple(EDGES[first : last + 2].tolist()), tuple(rows[part].tolist()), tuple(loss[part].tolist())
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"edges": list(self.edges), "rows": list(self.rows), "loss": list(self.loss)}
