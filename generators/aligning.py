"""Let rough depth follow the edges of the picture, and round it to the steps of a shot."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.generators.haze import LEVELS
from rvsd_bench.guided import guided_lines

LINES_WIDTH_PX = 320
"""Lines are found on pictures made smaller by a whole number, about so wide: they are smooth."""


def edge_align(depth: NDArray[np.float32], frame: Frame, far_m: float) -> NDArray[np.float32]:
    """Let the steps of a depth map lie where the frame has its edges; return the frame's size.

    `depth` is planar z in metres, float32 [h, w], and may be smaller than the frame; so is what
    comes back, in whole steps of far/65535.
    """
    inverse = np.asarray(1 / depth, np.float32)
    levels = aligned_levels(inverse, shrunk(frame, depth.shape), frame, far_m)
    return metres(levels, far_m)


def aligned_levels(
    inverse: NDArray[np.float32], small: Frame, frame: Frame, far_m: float
) -> NDArray[np.uint16]:
    """Return aligned depth in steps of far/65535, uint16 of the frame's size.

    Works on inverse depth in 1/m, float32 of the size of `small`, which is the frame made smaller;
    by the guided filter (He, Sun, Tang, PAMI 2013), whose lines are found on a yet smaller picture.
    Rounds to 65536 levels of inverse depth before that, so that the last bits of a processor's
    arithmetic do not reach the haze.
    """
    import cv2

    span = float(inverse.max()) - 1 / far_m
    if span <= 0:
        return np.full(frame.shape[:2], LEVELS - 1, np.uint16)
    factor = max(1, round(inverse.shape[1] / LINES_WIDTH_PX))
    size = max(1, inverse.shape[0] // factor), max(1, inverse.shape[1] // factor)
    level = shrunk((inverse - np.float32(1 / far_m)) * np.float32(1 / span), size)
    guide = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    lines = guided_lines(
        shrunk(guide, size) / np.float32(255), level, radius=max(4, size[1] // 80), eps=1e-3
    )
    slope, offset = (cv2.resize(line, frame.shape[1::-1]) for line in lines)
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    levels = np.empty(frame.shape[:2], np.uint16)
    _follow(luma, slope, offset, np.array([span / 65535, 1 / far_m, far_m], np.float32), levels)
    return levels


def metres(levels: NDArray[np.uint16], far_m: float) -> NDArray[np.float32]:
    """Return the depths in metres, float32, of steps of far/65535; they round to them again."""
    return np.asarray(levels * np.float32(far_m / (LEVELS - 1)), np.float32)


def shrunk(picture: Any, size: tuple[int, ...]) -> Any:
    """Return a picture as the means over its blocks, [h, w, ...] of a size that divides it."""
    import cv2

    if picture.shape[:2] == size:
        return picture
    return cv2.resize(picture, size[1::-1], interpolation=cv2.INTER_AREA)


@numba.njit(
    "void(u1[:,::1], f4[:,::1], f4[:,::1], f4[::1], u2[:,::1])", cache=True, error_model="numpy"
)
def _follow(luma: Any, slope: Any, offset: Any, numbers: Any, levels: Any) -> None:
    """Write the depths that the lines give for the brightness of each pixel, in whole steps.

    `numbers` are a step of inverse depth, the inverse depth of sky, and the depth of sky.
    """
    zero, one, most, half = np.float32(0), np.float32(1), np.float32(65535), np.float32(0.5)
    step, end, far = numbers
    scale = most / far
    for y in range(luma.shape[0]):
        for x in range(luma.shape[1]):
            bright = np.float32(luma[y, x]) * np.float32(1 / 255)
            level = min(max(slope[y, x] * bright + offset[y, x], zero), one)
            inverse = np.float32(np.int32(level * most + half)) * step + end
            levels[y, x] = np.uint16(np.int32(min(scale / inverse + half, most)))
