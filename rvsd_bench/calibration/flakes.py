"""Measure falling snow in a fixed camera's frames: what is there for one frame only.

A flake has moved on by the next frame, so what exceeds a neighbour in time is snow. Statistics come
with their standard errors, which are jackknifed over runs of frames (Efron 1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.seeds import stream

RUN = 4
"""Frames in a row: they show two residuals, one frame apart."""
LEAST_LEVELS = 8
SURE = 1.5
"""What is a flake reaches so many thresholds somewhere; what does not is left out as noise."""
LEAST_AREA_PX = 3
"""Specks below it are as likely noise."""
FARTHEST_PX = 48
"""No dominant motion beyond it is looked for."""
_SOFT_PX = 1.5


@dataclass(frozen=True, eq=False)
class SnowStatistics:
    """What flakes look like and how they move, in runs of frames."""

    features: NDArray[np.float64]
    """[N, 3] natural logarithms of area in px², peak over the background in levels, elongation."""
    run: NDArray[np.int64]
    """[N] the run in which each flake was seen."""
    pixels: int
    """That were looked at, in all runs."""
    covered_by_run: NDArray[np.float64]
    """[R] the share of pixels with snow."""
    motion_px: NDArray[np.float64]
    """[2] the dominant motion from frame to frame, right and down."""
    motion_error_px: NDArray[np.float64]
    """[2] its standard errors."""

    @property
    def per_megapixel(self) -> float:
        """Return how many flakes a frame has per million pixels."""
        return 1e6 * len(self.features) / self.pixels

    @property
    def covered(self) -> float:
        """Return the share of pixels where snow was found."""
        return float(self.covered_by_run.mean())


def residual(before: Frame, now: Frame, after: Frame) -> NDArray[np.int16]:
    """Return by how many levels of green a frame exceeds the darker neighbour, int16 [H, W].

    With the darker one, streaks that reach into the next frame's are whole.
    """
    level = now[..., 1].astype(np.int16)
    lower = np.minimum(before[..., 1], after[..., 1]).astype(np.int16)
    return level - lower


def threshold_levels(runs: Sequence[Sequence[Frame]]) -> int:
    """Return from how many levels on a residual is a flake: 8, or three times the noise if more.

    The noise is that of the differences between frames; most pixels hold no flake.
    """
    steps = [b[..., 1].astype(np.int16) - a[..., 1] for a, b, *_ in runs]
    deviation = 1.4826 * float(np.median(np.abs(np.stack(steps)))) / np.sqrt(2)
    return max(LEAST_LEVELS, int(np.ceil(3 * deviation)))


def measure(runs: Sequence[Sequence[Frame]], threshold: int) -> SnowStatistics:
    """Measure the snow in runs of four frames of one size, seen by a camera that stands still."""
    features, correlation, covered = [], [], []
    for first, second, third, fourth in runs:
        pair = residual(first, second, third), residual(second, third, fourth)
        masks = [r >= threshold for r in pair]
        found = [blobs(r, m) for r, m in zip(pair, masks)]
        features.append(np.concatenate([b[b[:, 1] >= SURE * threshold] for b in found]))
        correlation.append(_correlation(*masks))
        covered.append(float(np.mean(masks)))
    motion, error = _motion(np.stack(correlation))
    return SnowStatistics(
        features=_dequantised(np.concatenate(features)),
        run=np.repeat(np.arange(len(features)), [len(f) for f in features]),
        pixels=2 * len(features) * runs[0][0].shape[0] * runs[0][0].shape[1],
        covered_by_run=np.array(covered),
        motion_px=motion,
        motion_error_px=error,
    )


def blobs(levels: NDArray[np.int16], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return area in pixels, peak in levels and elongation of each connected blob, [N, 3].

    Elongation is the ratio of the axes of the ellipse of equal moments, each pixel weighted by its
    level.
    """
    import cv2

    _, labels, table, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    area = table[:, cv2.CC_STAT_AREA]
    y, x = np.nonzero(mask)
    own, level = labels[y, x], levels[y, x].astype(np.float64)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(own, level * values, len(area)), np.float64)

    mass = np.maximum(total(np.ones(len(own))), 1e-9)
    mx, my = total(x.astype(np.float64)) / mass, total(y.astype(np.float64)) / mass
    dx, dy = x - mx[own], y - my[own]
    xx, yy, xy = total(dx * dx) / mass, total(dy * dy) / mass, total(dx * dy) / mass
    middle, swing = (xx + yy) / 2 + 1 / 12, np.hypot((xx - yy) / 2, xy)
    elongation = np.sqrt((middle + swing) / (middle - swing))
    peak = np.zeros(len(area))
    np.maximum.at(peak, own, level)
    kept = area >= LEAST_AREA_PX
    kept[0] = False
    columns = [area[kept], peak[kept], elongation[kept]]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def jackknife_error(left_out: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard errors of numbers [...] from what they are without each run, [R, ...]."""
    count = len(left_out)
    return np.asarray(np.sqrt((count - 1) * np.var(left_out, axis=0)))


def _dequantised(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logarithms; whole numbers are spread over their unit, lest equal ones pile up."""
    jitter = stream("dequantise").random((len(table), 2)) - 0.5
    return np.asarray(np.log(np.concatenate([table[:, :2] + jitter, table[:, 2:]], axis=1)))


def _correlation(now: NDArray[np.bool_], then: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how often snow lies at each shift from earlier snow, [2R+1, 2R+1], R at most 48 px."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    reach = min(FARTHEST_PX, min(now.shape) // 4)
    shape = tuple(next_fast_len(side + reach) for side in now.shape)
    spectra = [rfft2(mask - mask.mean(), shape) for mask in (now, then)]
    whole = irfft2(np.conj(spectra[0]) * spectra[1], shape)
    rows = np.arange(-reach, reach + 1)
    return np.asarray(whole[np.ix_(rows, rows)])


def _motion(correlations: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the dominant motion of runs, right and down, and its standard errors, each [2]."""
    whole = correlations.sum(axis=0)
    if len(correlations) == 1:
        return _peak(whole), np.zeros(2)
    return _peak(whole), jackknife_error(np.stack([_peak(whole - own) for own in correlations]))


def _peak(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(correlation, _SOFT_PX)
    reach = len(soft) // 2
    row, column = np.unravel_index(np.argmax(soft), soft.shape)
    y, x = np.mgrid[-2:3, -2:3]
    near = soft[np.ix_(np.clip(row + y[:, 0], 0, 2 * reach), np.clip(column + x[0], 0, 2 * reach))]
    weight = np.maximum(near - near.min(), 0) + 1e-12
    shift = [float((weight * d).sum() / weight.sum()) for d in (x, y)]
    return np.array([column - reach + shift[0], row - reach + shift[1]])
