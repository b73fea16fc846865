"""Tell where a frame shows sky: bright and smooth, as nothing below the horizon is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame

LUMA = np.array([0.2126, 0.7152, 0.0722])


def sky_likeness(frame: Frame, scale: float = 1.0) -> NDArray[np.float32]:
    """Return how much each pixel looks like a day's sky, float32 [H, W] in [0, 1].

    Sky is as bright as the smooth parts of the upper quarter, and these must be bright in
    themselves or brighter than the lower half: a road seen from above is smooth too. These limits
    are ramps, so that nothing jumps between frames; what does not hang together with the top edge,
    like a meadow or a white car, is no sky. `scale` is how much the frame was made smaller: edges
    are as many times as steep then, and as many times as narrow.
    """
    import cv2

    grey = frame.astype(np.float32) @ (LUMA.astype(np.float32) / 255)
    luma = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.5 * scale), np.float32)
    side = 1 + 2 * round(2 * scale)
    slope = cv2.dilate(_slope(luma), np.ones((side, side), np.uint8))
    smooth = _ramp(np.asarray(slope, np.float32), 0.022 / scale, 0.010 / scale)
    quarter = max(1, len(luma) // 4)
    upper = smooth[:quarter] > 0.5
    if not upper.any():
        return np.zeros_like(luma)
    bright = float(np.percentile(luma[:quarter][upper], 90))
    below = float(np.median(luma[len(luma) // 2 :]))
    least = max(0.5, min(1.25 * below, 0.75))
    gate = _ramp(np.array(bright, np.float32), least - 0.05, least + 0.05)
    if gate == 0:
        return np.zeros_like(luma)
    like = gate * smooth * _ramp(luma, 0.52 * bright, 0.68 * bright)
    _, labels = cv2.connectedComponents((like > 0.2).astype(np.uint8), connectivity=4)
    reaching = np.unique(labels[:3])
    return np.asarray(like * np.isin(labels, reaching[reaching > 0]), np.float32)


def _slope(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of the gradient by central differences, one-sided at the borders."""
    down, across = np.gradient(luma)
    return np.asarray(np.sqrt(down * down + across * across), np.float32)


def _ramp(values: NDArray[np.float32], zero: float, one: float) -> NDArray[np.float32]:
    """Rise evenly from 0 at `zero` to 1 at `one`, which may lie below it."""
    return np.asarray(np.clip((values - np.float32(zero)) / np.float32(one - zero), 0, 1))
