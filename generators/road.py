"""Take the speed of a camera from the road: corners on it, each of which tells a speed of its own.

A point y pixels below the horizon of a plane road lies z = f h / y ahead; if the camera moves by d
its offset from the focus of expansion grows by z / (z - d). What stands on the road, and so lies
nearer than the road behind it, tells too high a speed, and a different one at every height; cars
ahead tell different low ones, the bonnet none. Only the road itself tells one speed at all places:
the peak of the density over the logarithm of speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPEEDS_M_PER_S = np.exp(np.arange(np.log(0.5), np.log(80), 0.01))
WIDTH = 0.06
"""Of the kernel of the density: tracks on a road agree to some percent."""
ALIKE = 0.18
"""Tracks whose speeds differ less from the peak's, in logarithms, belong to it."""
ASIDE, WIDEST = 1.4, 2.5
"""Half widths of the strip that counts in full, and of that in which corners are looked for, in
camera heights: beyond the first lie lane markings, but parked cars as well."""
ASIDE_WEIGHT = 0.3
FARTHEST_M = 40.0
TRACK_PX = 0.3
"""How far off a track may be."""
LEAST_TRACKS = 3


class Speed(NamedTuple):
    """What the road tells."""

    m_per_s: float
    agreement: float
    """Share of the weight of tracks that agree."""
    spread_m_per_s: float
    """Standard deviation of the pairs' own medians."""
    tracks: int
    pairs: int
    """Pairs of frames with three tracks or more that agree."""


class Tracks(NamedTuple):
    """Corners on the road of one pair of frames: offset [N, 2] from the focus and flow, in px."""

    offset: Array
    flow: Array
    step_s: float


def road_mask(
    size: tuple[int, int], focus: Array, focal_height: float
) -> NDArray[np.uint8]:  # fmt: skip
    """Return where the road may lie, uint8 [H, W]: up to 40 m ahead, above a bonnet."""
    y = np.arange(size[0])[:, None] + 0.5
    down, across = y - focus[1], np.abs(np.arange(size[1]) + 0.5 - focus[0])
    ahead = (down > max(0.05 * size[0], focal_height / FARTHEST_M)) & (y < 0.88 * size[0])
    return np.asarray(ahead & (across < WIDEST * down), np.uint8)


def speed_from_road(pairs: Sequence[Tracks], focal_height: float) -> Speed:
    """Return the speed on which tracks of several pairs of frames agree.

    `focal_height` is the focal length in pixels times the height of the camera in metres. Pairs
    with many tracks do not outvote the others.
    """
    speeds, weights = zip(*(_speeds(pair, focal_height) for pair in pairs), strict=True)
    v, w = np.concatenate(speeds), np.concatenate(weights)
    owner = np.repeat(np.arange(len(pairs)), [len(part) for part in speeds])
    best: Any = (0.0, 0.0)
    for sign in (1, -1):
        mine = sign * v > SPEEDS_M_PER_S[0] / 2
        away = (np.log(sign * v[mine])[:, None] - np.log(SPEEDS_M_PER_S)) / WIDTH
        share = w[mine] / np.sqrt(1 + np.bincount(owner, w, len(pairs)))[owner[mine]]
        density = share @ np.exp(-0.5 * away**2)
        peak = int(np.argmax(density))
        best = max(best, (float(density[peak]), float(sign * SPEEDS_M_PER_S[peak])))
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.abs(np.log(v / best[1])) < ALIKE
    own = [np.median(v[near & (owner == i)]) for i in range(len(pairs)) if _enough(near, owner, i)]
    if not own:
        return Speed(0.0, 0.0, 0.0, 0, 0)
    agreement = float(w[near].sum() / w.sum())
    return Speed(float(np.median(own)), agreement, float(np.std(own)), int(near.sum()), len(own))


def _enough(near: NDArray[np.bool_], owner: NDArray[Any], pair: int) -> bool:
    return int((near & (owner == pair)).sum()) >= LEAST_TRACKS


def _speeds(pair: Tracks, focal_height: float) -> tuple[Array, Array]:
    """Return the speed that each track tells, and its weight: less if it may be 10 % off."""
    offset, flow = pair.offset, pair.flow
    length = np.hypot(offset[:, 0], offset[:, 1])
    along = (flow * offset).sum(axis=1) / length
    across = np.abs(flow[:, 0] * offset[:, 1] - flow[:, 1] * offset[:, 0]) / length
    per_m = focal_height / offset[:, 1] / pair.step_s
    speed = (1 - 1 / np.maximum(1 + along / length, 0.05)) * per_m
    error = TRACK_PX / length * per_m
    weight = 1 / (1 + (error / np.maximum(0.1 * np.abs(speed), 1e-9)) ** 2)
    weight *= np.where(np.abs(offset[:, 0]) < ASIDE * offset[:, 1], 1.0, ASIDE_WEIGHT)
    kept = across < 0.5 + 0.1 * np.abs(along)
    return speed[kept], weight[kept]
