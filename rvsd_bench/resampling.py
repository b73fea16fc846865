"""Draw source clips anew: how far a mean would move if other clips had been filmed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

INTERVAL = (2.5, 97.5)
"""The percentiles of a 95 % interval."""
_CHUNK = 1_000_000  # drawn sources held in memory at once


def bootstrap(
    sums: NDArray[np.float64], counts: NDArray[np.float64], *, draws: int
) -> tuple[float, float]:
    """Return the 95 % percentile interval of `sum(sums) / sum(counts)` when sources are redrawn.

    The sources are the clusters, since frames of one clip, and clips of one source, go together
    (Davison and Hinkley 1997, section 3.8). The draws depend on the number of sources alone, so
    that methods scored on the same videos meet the same ones.
    """
    n = len(sums)
    random = stream("intervals", n)
    ratios = []
    step = max(1, _CHUNK // n)
    for start in range(0, draws, step):
        drawn = (random.random((min(step, draws - start), n)) * n).astype(np.intp)
        ratios.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(ratios), INTERVAL)
    return float(low), float(high)
