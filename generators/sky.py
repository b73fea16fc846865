"""Tell where a frame shows sky: bright and smooth, as nothing below the horizon is."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame

LUMA = np.array([0.2126, 0.7152, 0.0722])
GAPS_OF_WIDTH = 0.06
"""How far around a gap its sky is looked for: the deviation of a blur, in widths of a picture."""
UNLIKE = (64.0, 25.0)
"""Levels by which a gap differs from the sky around it in any channel: no sky, nothing but sky."""


def sky_likeness(frame: Frame, scale: float = 1.0, rows: int | None = None) -> NDArray[np.float32]:
    """Return how much each pixel looks like a day's sky, float32 [H, W] in [0, 1].

    Sky is as bright as the smooth parts of the upper quarter, and these must be bright in
    themselves or brighter than the lower half: a road seen from above is smooth too. These limits
    are ramps, so that nothing jumps between frames; what does not hang together with the top edge,
    like a meadow or a white car, is no sky. `scale` is how much the frame was made smaller: edges
    are as many times as steep then, and as many times as narrow. Only the upper `rows` are looked
    through and returned, if they are given.
    """
    import cv2

    grey = frame.astype(np.float32) @ (LUMA.astype(np.float32) / 255)
    luma = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.5 * scale), np.float32)
    quarter, half = max(1, len(luma) // 4), len(luma) // 2
    below = float(np.median(luma[half::2, ::2]))
    luma = luma[:rows]
    side = 1 + 2 * round(2 * scale)
    slope = cv2.dilate(_slope(luma), np.ones((side, side), np.uint8))
    smooth = _ramp(np.asarray(slope, np.float32), 0.022 / scale, 0.010 / scale)
    upper = smooth[:quarter:2, ::2] > 0.5
    if not upper.any():
        return np.zeros_like(luma)
    bright = float(np.percentile(luma[:quarter:2, ::2][upper], 90))
    least = max(0.5, min(1.25 * below, 0.75))
    gate = _ramp(np.array(bright, np.float32), least - 0.05, least + 0.05)
    if gate == 0:
        return np.zeros_like(luma)
    like = gate * smooth * _ramp(luma, 0.52 * bright, 0.68 * bright)
    count, labels = cv2.connectedComponents((like > 0.2).astype(np.uint8), connectivity=4)
    reaching = np.zeros(count, np.float32)
    reaching[labels[:3]] = 1
    reaching[0] = 0
    return np.asarray(like * reaching.take(labels), np.float32)


def sky_cover(frame: Frame, scale: float = 1.0, lowest: float = 1.0) -> NDArray[np.float32]:
    """Return how much of each pixel is sky, that between leaves included, float32 [H, W] in [0, 1].

    What `sky_likeness` finds keeps away from edges. Near it, whatever has the colour that the sky
    has around there is sky too: beside a roof, round a pole and in the gaps of a tree. Below
    `lowest`, a fraction of the height, there is none.
    """
    import cv2

    rows = (
        len(frame) if lowest >= 1 else max(16, 8 * round(lowest * len(frame) / 8))
    )  # whole blocks
    rows = min(rows, len(frame))
    like, below = sky_likeness(frame, scale, rows), len(frame) - rows
    if not like.any():
        return np.zeros(frame.shape[:2], np.float32)
    frame = frame[:rows]
    height, width = like.shape
    coarse = max(1, width // 8), max(1, height // 8)
    weight = cv2.resize(like, coarse, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(frame, coarse, interpolation=cv2.INTER_AREA)
    sums = cv2.GaussianBlur(
        np.dstack([colour * weight[..., None], weight]), (0, 0), GAPS_OF_WIDTH * coarse[0]
    )
    around = sums[..., :3] / np.maximum(sums[..., 3:], np.float32(1e-6))
    usual = cv2.resize(np.rint(around).astype(np.uint8), (width, height))
    near = cv2.resize(_ramp(sums[..., 3], 0.002, 0.01), (width, height))
    red, green, blue = cv2.split(cv2.absdiff(frame, usual))
    same = cv2.LUT(
        cv2.max(cv2.max(red, green), blue), _ramp(np.arange(256, dtype=np.float32), *UNLIKE)
    )
    cover = cv2.max(like, cv2.multiply(near, same))
    return np.asarray(cv2.copyMakeBorder(cover, 0, below, 0, 0, cv2.BORDER_CONSTANT), np.float32)


def _slope(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of the gradient by central differences, one-sided at the borders."""
    slope = np.empty_like(luma)
    _write_slope(np.ascontiguousarray(luma), slope)
    return slope


@numba.njit("void(f4[:,::1], f4[:,::1])", cache=True, error_model="numpy")
def _write_slope(luma: Any, slope: Any) -> None:
    (height, width), half = luma.shape, np.float32(0.5)
    for y in range(height):
        above, below, row, here = (
            luma[max(y - 1, 0)],
            luma[min(y + 1, height - 1)],
            luma[y],
            slope[y],
        )
        down = half if 0 < y < height - 1 else np.float32(1)
        left, right, inner = row[: width - 2], row[2:], here[1 : width - 1]
        upper, lower = above[1 : width - 1], below[1 : width - 1]
        for x in range(width - 2):
            rise, aside = down * (lower[x] - upper[x]), half * (right[x] - left[x])
            inner[x] = np.sqrt(rise * rise + aside * aside)
        for x, first in ((0, 0), (width - 1, width - 2)):
            rise, aside = down * (below[x] - above[x]), row[first + 1] - row[first]
            here[x] = np.sqrt(rise * rise + aside * aside)


def _ramp(values: NDArray[Any], zero: float, one: float) -> NDArray[np.float32]:
    """Rise evenly from 0 at `zero` to 1 at `one`, which may lie below it."""
    return np.asarray(np.clip((values - np.float32(zero)) / np.float32(one - zero), 0, 1))
