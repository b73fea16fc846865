"""Find what stands on the road ahead, and at which row its foot is.

A level road puts all that is seen near the vanishing point at the end of the world. A car there is
as far as the road at its wheels; what a column of the picture shows between the horizon and the
first piece of road belongs to it (free space, as in Badino, Franke, Pfeiffer, DAGM 2009, found here
by colour instead of stereo).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.generators.glimpses import small

COLUMNS = 160
"""Columns of the picture that is searched: noise is averaged away, and a car far ahead is found."""
STEP_S = 0.1
ENDS = (0.1, 0.5)
"""Heights above the horizon, over the depth of the foot below it, between which an object ends: one
of the camera's own height ends at the horizon, one of twice that at 1."""
LOW_ENDS = (0.0, 0.2)
"""The same where parallax shows how far away what is seen above a car or a barrier is."""
LEAST_SPREAD = np.array([6.0, 3.0, 3.0], np.float32)
"""Lightness and colour (CIELAB) by which asphalt differs from itself at least."""


@dataclass(frozen=True, eq=False)
class Feet:
    """How far below the horizon the road begins in each column, all through a clip."""

    step: int
    """Frames from one sample to the next."""
    samples: NDArray[np.float32]
    """[K, columns] as fractions of the height of the picture."""

    def at(self, index: int, width: int) -> NDArray[np.float32]:
        """Return the distances in a frame, float32 [width]."""
        place = min(index / self.step, len(self.samples) - 1)
        first = min(int(place), len(self.samples) - 2)
        share = np.float32(place - first)
        row = self.samples[first] + share * (self.samples[first + 1] - self.samples[first])
        across = (np.arange(width) + 0.5) * len(row) / width - 0.5
        return np.asarray(np.interp(across, np.arange(len(row)), row), np.float32)


def follow_feet(clip: Clip, horizon: float) -> Feet:
    """Find the feet in every tenth of a second of a clip, and what they usually are around it.

    The median of half a second bridges shadows and cars that have the colours of the road; what
    remains changes evenly. `horizon` is a fraction of the height.
    """
    step = max(1, round(STEP_S * clip.fps))
    found = np.stack([feet(small(clip, index), horizon) for index in range(0, len(clip), step)])
    around = np.pad(found, ((3, 4), (0, 0)), mode="edge")
    usual = np.median([around[i : i + len(found) + 3] for i in range(5)], axis=0)
    even = np.mean([usual[i : i + len(found) + 1] for i in range(3)], axis=0)
    # Rounded, so that the last bits of a processor's arithmetic do not reach the haze.
    return Feet(step, (np.rint(even * 65536) / 65536).astype(np.float32))


def feet(frame: Frame, horizon: float) -> NDArray[np.float32]:
    """Return for each of up to 160 columns how far below the horizon the road begins, float32.

    A fraction of the height; 0 where road, or nothing, reaches up to the horizon. Road is what has
    the colours of the road ahead of the camera, by their median and spread.
    """
    import cv2

    height, width = frame.shape[:2]
    columns = min(COLUMNS, width)
    rows = max(2, round(height * columns / width))
    rough = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(rough.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    down = np.arange(rows) + 0.5 - horizon * rows
    below = _strangeness(colours, down)[down > 0]
    if not len(below):
        return np.zeros(columns, np.float32)
    # A gap of a row is a window of a car; more is road.
    closed = cv2.morphologyEx(below, cv2.MORPH_CLOSE, np.ones((3, 1), np.uint8))
    standing = np.minimum.accumulate(cv2.blur(closed, (3, 1)), axis=0).sum(axis=0)
    # What is narrower than two columns is a lane line, or a shadow.
    even = cv2.blur(cv2.medianBlur(standing[None], 5), (3, 1))[0]
    return np.asarray(even / np.float32(rows), np.float32)


def _strangeness(colours: NDArray[np.float32], down: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return how little each pixel looks like the road ahead, float32 in [0, 1]."""
    road = road_ahead(colours, down)
    if not len(road):
        return np.zeros(colours.shape[:2], np.float32)
    usual = np.median(road, axis=0)
    spread = 2 * 1.48 * np.median(np.abs(road - usual), axis=0)
    difference = (colours - usual) / np.maximum(spread, LEAST_SPREAD)
    distance = np.sqrt(np.sum(difference**2, axis=2))
    return np.asarray(np.clip(distance / 1.5 - 1, 0, 1), np.float32)


def road_ahead(colours: NDArray[np.float32], down: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the colours of a wedge before the camera, float32 [N, 3]: a road, for the most part.

    `down` is how far below the horizon each row lies, in rows.
    """
    across = np.abs(np.arange(colours.shape[1]) + 0.5 - colours.shape[1] / 2)
    deepest = max(float(down[-1]), 0.0)
    ahead = (down > 0.25 * deepest) & (down < 0.8 * deepest)
    return np.asarray(colours[ahead[:, None] & (across < 1.4 * down[:, None])], np.float32)


def set_up(
    inverse: NDArray[np.float32],
    foot_px: NDArray[np.float32],
    horizon_px: float,
    focal_height: float,
    ends: tuple[float, float] = ENDS,
) -> NDArray[np.float32]:
    """Return the inverse depth with all that stands on the road as near as its foot.

    `inverse` is float32 [H, W] in 1/m, `foot_px` as `feet` gives it; `focal_height` is the focal
    length in pixels times the height of the camera in metres. `ends` is where objects end.
    """
    full_to, none_from = ends
    deepest = float(foot_px.max(initial=0.0))
    first = max(0, int(horizon_px - none_from * deepest))
    last = min(len(inverse), int(horizon_px + deepest) + 1)
    raised = inverse.copy()
    if deepest <= 0 or first >= last:
        return raised
    part = raised[first:last]
    above = np.float32(horizon_px) - np.arange(first, last, dtype=np.float32)[:, None] - 0.5
    height = above / np.maximum(foot_px, np.float32(1e-3))
    belongs = np.clip((none_from - height) / np.float32(none_from - full_to), 0, 1)
    nearer = np.maximum(foot_px / np.float32(focal_height) - part, 0)
    part += belongs * nearer
    return raised
