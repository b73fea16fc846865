"""Say how far synthetic snow is from real snow: for people, and for a fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.calibration.flakes import SnowStatistics
from rvsd_bench.mixtures import fit_mixture, jensen_shannon, symmetric_kl

MOST_CELLS, FLAKES_PER_CELL = 5, 25
"""Of the histogram along each feature; its edges are quantiles of the real flakes. Few flakes in
many cells would look unlike any others."""
COMPONENTS = 4
MODEL_ERROR = 0.1
"""No law of snow is truer than that: the share of a cell's flakes by which it may be wrong."""
LEAST_LOG_ERROR, LEAST_MOTION_PX = 0.03, 0.15
"""Of cover and motion: nothing is known better."""
FARTHEST_SIGMA = 8.0
"""Of one motion: a peak elsewhere says nothing of how far it is."""


@dataclass(frozen=True)
class Distance:
    """How far synthetic snow is from real snow; 0 in every part is alike."""

    shape: float
    """Jensen-Shannon divergence of area, peak and elongation jointly, in nats."""
    count: float
    """Natural logarithm of synthetic over real flakes."""
    cover: float
    """Natural logarithm of synthetic over real share of pixels with snow: it tells dense snow,
    whose flakes merge, from sparse snow with as many blobs."""
    motion: float
    """Difference of the dominant motions over the real one."""

    @property
    def total(self) -> float:
        """Return shape and the squares of the others, added.

        Beyond its own length a wrong motion counts no more, since a peak elsewhere says nothing.
        """
        return self.shape + self.count**2 + self.cover**2 + 0.25 * min(self.motion, 1.0) ** 2


def distance(real: SnowStatistics, synthetic: SnowStatistics) -> Distance:
    """Compare two snowfalls; the histogram's cells hold about equally many real flakes."""
    edges = _edges(real)
    shape = jensen_shannon(_histogram(real, edges), _histogram(synthetic, edges))
    length = max(float(np.hypot(*real.motion_px)), 1.0)
    return Distance(
        shape=shape,
        count=math.log((synthetic.per_megapixel + 1) / (real.per_megapixel + 1)),
        cover=math.log((synthetic.covered + 1e-6) / (real.covered + 1e-6)),
        motion=float(np.hypot(*(synthetic.motion_px - real.motion_px))) / length,
    )


def misfit(real: SnowStatistics, synthetic: SnowStatistics) -> NDArray[np.float64]:
    """Return how far apart two snowfalls are in each statistic, in standard errors.

    The statistics are the number of flakes in each cell of a joint histogram of area, peak and
    elongation, the cover, and both components of the motion. Roots of counts are compared, whose
    errors do not depend on the counts (Anscombe 1948), and are as much wider as the numbers of the
    runs scatter more than chance would have it, since the same flakes are seen in several frames.
    """
    edges = _edges(real)
    ours = _histogram(real, edges)
    theirs = _histogram(synthetic, edges) * (real.pixels / synthetic.pixels)
    chance = _overdispersion(real, edges) * (1 + real.pixels / synthetic.pixels)
    cells = 2 * (np.sqrt(theirs + 0.375) - np.sqrt(ours + 0.375))
    cells /= np.sqrt(chance + MODEL_ERROR**2 * ours)
    runs = real.covered_by_run
    error = float(np.std(runs)) / (max(len(runs) - 1, 1) ** 0.5 * (float(runs.mean()) + 1e-6))
    cover = distance(real, synthetic).cover / math.hypot(LEAST_LOG_ERROR, 1.4 * error)
    sigma = np.hypot(LEAST_MOTION_PX, 1.4 * real.motion_error_px)
    motion = (synthetic.motion_px - real.motion_px) / sigma
    return np.concatenate([cells, [cover], FARTHEST_SIGMA * np.tanh(motion / FARTHEST_SIGMA)])


def divergence(real: SnowStatistics, synthetic: SnowStatistics) -> float:
    """Return the symmetric Kullback-Leibler divergence of two mixtures of four Gaussians.

    It is reported beside the distance that is minimised. Both are fitted to standardised features.
    It is NaN for too few synthetic flakes.
    """
    if len(synthetic.features) < 2 * COMPONENTS:
        return math.nan
    middle, spread = real.features.mean(axis=0), real.features.std(axis=0)
    ours, theirs = (
        fit_mixture((s.features - middle) / spread, COMPONENTS, ("calibrate", name))
        for name, s in (("real", real), ("synthetic", synthetic))
    )
    return symmetric_kl(ours, theirs, ("calibrate",), count=5_000)


def _edges(real: SnowStatistics) -> list[NDArray[np.float64]]:
    cells = round((len(real.features) / FLAKES_PER_CELL) ** (1 / real.features.shape[1]))
    inner = np.linspace(0, 1, min(max(cells, 2), MOST_CELLS) + 1)[1:-1]
    return [np.quantile(column, inner) for column in real.features.T]


def _cells(snow: SnowStatistics, edges: Sequence[NDArray[np.float64]]) -> NDArray[np.int64]:
    places = [np.searchsorted(e, column) for e, column in zip(edges, snow.features.T)]
    return np.asarray(np.ravel_multi_index(tuple(places), tuple(len(e) + 1 for e in edges)))


def _histogram(snow: SnowStatistics, edges: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    size = math.prod(len(e) + 1 for e in edges)
    return np.bincount(_cells(snow, edges), minlength=size).astype(np.float64)


def _overdispersion(real: SnowStatistics, edges: Sequence[NDArray[np.float64]]) -> float:
    """Return how much more numbers in cells vary between runs than random ones do, from 1 on."""
    runs, size = len(real.covered_by_run), math.prod(len(e) + 1 for e in edges)
    table = np.bincount(real.run * size + _cells(real, edges), minlength=runs * size)
    if runs < 2:
        return 1.0
    variance = np.var(table.reshape(runs, size), axis=0, ddof=1)
    return max(1.0, float(variance.sum() * runs / max(table.sum(), 1)))
