"""See how far away things are from how fast they stream out of the vanishing point.

A camera that moves forward by d pushes what lies z ahead outwards from the focus of expansion, to
z/(z - d) times its distance from there. What stands above the horizon stands still as a rule
(houses, trees, hills), so that its depth can be read off; on the road, where others drive too, it
cannot, and its own plane says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.generators.glimpses import small
from rvsd_bench.generators.motion import Motion

Array = NDArray[np.float32]

WIDTH_PX = 320
CELL_PX = 4
"""Depth is read for squares of so many of those pixels: an eightieth of the picture's width."""
STEP_S = 0.2
PATH_M, LONGEST_S = 1.5, 0.4
"""How far the camera should get between two frames that are compared, and in which time at most."""
LEAST_M = 0.3
NEAREST_PX = 10.0
"""Closer to the focus nothing moves enough."""
TEXTURE = 4.0
"""Levels by which brightness must differ around a pixel, for its flow to be more than a guess."""


@dataclass(frozen=True, eq=False)
class Parallax:
    """Inverse depth above the horizon, all through a clip, where the flow shows it."""

    step: int
    """Frames from one sample to the next."""
    inverse: Array
    """[K, rows, columns] in 1/m, of squares that fill the picture."""
    trust: Array
    """[K, rows, columns] in [0, 1]."""

    def over(self, street: Array, plane: Array, index: int) -> Array:
        """Return the inverse depth of a frame, float32 [H, W], instead of that of a mere street.

        Nothing lies behind the `plane` of the road: what seems to drives along with the camera.
        """
        import cv2

        place = min(index / self.step, len(self.inverse) - 1)
        first = min(int(place), max(len(self.inverse) - 2, 0))
        second, share = min(first + 1, len(self.inverse) - 1), np.float32(place - first)
        trust, seen = (
            cv2.resize((1 - share) * grid[first] + share * grid[second], street.shape[1::-1])
            for grid in (self.trust, self.inverse)
        )
        return np.asarray(street + trust * (np.maximum(seen, plane) - street), np.float32)


def follow_parallax(clip: Clip, ride: Motion) -> Parallax | None:
    """Read off the depths every fifth of a second; None if the camera does not move forward.

    What a square shows for a moment alone is not believed: samples are medians of three.
    """
    speed = ride.velocity_m_per_s[2]
    if ride.focus_of_expansion is None or speed <= 0:
        return None
    apart = max(1, round(min(PATH_M / speed, LONGEST_S) * clip.fps))
    path_m = speed * apart / clip.fps
    if path_m < LEAST_M or len(clip) <= apart:
        return None
    step = max(1, round(STEP_S * clip.fps))
    focus = np.array(ride.focus_of_expansion) * WIDTH_PX / clip.size[1]
    firsts = range(0, len(clip) - apart, step)
    wanted = sorted({index + later for index in firsts for later in (0, apart)})
    greys: dict[int, NDArray[np.uint8]] = {}
    found = []
    for index in wanted:
        greys[index] = _grey(small(clip, index))
        first = index - apart
        if first in firsts:
            found.append(_read(greys[first], greys[index], focus, path_m))
            greys = {known: grey for known, grey in greys.items() if known > first}
    inverse, trust = (np.stack(parts) for parts in zip(*found, strict=True))
    return Parallax(step, *_steadied(inverse, trust))


def _read(
    first: NDArray[np.uint8], second: NDArray[np.uint8], focus: NDArray[np.float64], path_m: float
) -> tuple[Array, Array]:
    """Return inverse depth and trust of each square in a frame, float32 [rows, columns]."""
    import cv2

    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    engine.setFinestScale(0)  # at a quarter of the size, hills between trees go with the trees
    engine.setVariationalRefinementIterations(2)  # of 5: a third of the time, and as near the truth
    flow = engine.calc(first, second, None)
    grey = first.astype(np.float32)
    mean = cv2.blur(grey, (5, 5))
    rough = cv2.blur(grey * grey, (5, 5)) - mean * mean > TEXTURE**2
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]].astype(np.float32) + np.float32(0.5)
    offset = np.dstack([x, y]) - focus.astype(np.float32)
    distance = np.maximum(np.hypot(offset[..., 0], offset[..., 1]), np.float32(1))
    outward = offset / distance[..., None]
    flow = flow - _turn(flow, outward, distance, rough)
    along = np.sum(flow * outward, axis=2)
    across = np.abs(flow[..., 1] * outward[..., 0] - flow[..., 0] * outward[..., 1])
    growth = np.maximum(along, 0) / distance
    inverse = growth / (np.float32(path_m) * (1 + growth))
    sure = rough & (across < 0.3 + 0.15 * np.abs(along)) & (along > -0.3)
    sure &= distance > NEAREST_PX
    return _squares(inverse.astype(np.float32), sure)


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    size = WIDTH_PX, max(16, round(WIDTH_PX * frame.shape[0] / frame.shape[1]))
    rough = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(rough, cv2.COLOR_RGB2GRAY), np.uint8)


def _turn(flow: Array, outward: Array, distance: Array, rough: NDArray[np.bool_]) -> Array:
    """Return the shift that all pixels share, which a turn of the camera adds, float32 [2].

    Only the flow across the way to the focus tells: the rest may be depth. Robust least squares
    over every fourth pixel; one pixel squared on the diagonal keeps it small.
    """
    chosen = np.zeros_like(rough)
    chosen[::4, ::4] = rough[::4, ::4] & (distance[::4, ::4] > NEAREST_PX)
    normal = np.stack([-outward[chosen][:, 1], outward[chosen][:, 0]], axis=1).astype(np.float64)
    across = np.sum(normal * flow[chosen], axis=1)
    turn = np.zeros(2)
    for _ in range(10):
        weight = 1 / (np.abs(across - normal @ turn) + 0.2)
        weighted = normal * weight[:, None]
        turn = np.linalg.solve(weighted.T @ normal + np.eye(2), weighted.T @ across)
    return turn.astype(np.float32)


def _squares(inverse: Array, sure: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the median of what is sure in each square, and how much of the square is."""
    rows, columns = -(-inverse.shape[0] // CELL_PX), inverse.shape[1] // CELL_PX
    values = np.full((rows * CELL_PX, columns * CELL_PX), np.nan, np.float32)
    values[: len(inverse)] = np.where(sure, inverse, np.nan)
    cut = values.reshape(rows, CELL_PX, columns, CELL_PX).swapaxes(1, 2).reshape(rows, columns, -1)
    counted = np.isfinite(cut).sum(axis=2)
    middle = np.sort(cut, axis=2)  # what is not sure comes last
    at = np.maximum((counted - 1) // 2, 0)[..., None]
    median = np.nan_to_num(np.take_along_axis(middle, at, axis=2)[..., 0])
    return median, np.clip(counted / np.float32(0.4 * CELL_PX**2), 0, 1).astype(np.float32)


def _steadied(inverse: Array, trust: Array) -> tuple[Array, Array]:
    """Return samples in which neighbours in time and in the picture agree; rounded.

    Rounded, so that the last bits of a processor's arithmetic do not reach the haze.
    """

    around = np.pad(np.where(trust > 0.2, inverse, np.nan), ((1, 1), (0, 0), (0, 0)), mode="edge")
    three = np.sort(np.stack([around[:-2], around[1:-1], around[2:]]), axis=0)
    known = np.isfinite(three).sum(axis=0)
    middle = np.nan_to_num(np.take_along_axis(three, np.maximum((known - 1) // 2, 0)[None], 0)[0])
    weight = (known / 3).astype(np.float32)
    total, sums = (
        np.stack([_around(part) for part in stack]) for stack in (weight, weight * middle)
    )
    even = sums / np.maximum(total, np.float32(1e-3))
    believed: Any = np.clip(20 * total, 0, 1)
    return (
        (np.rint(even * 65536) / 65536).astype(np.float32),
        (np.rint(believed * 256) / 256).astype(np.float32),
    )


def _around(grid: Array) -> Array:
    """Return what is in each square, or else around it, where it counts for a twentieth."""
    import cv2

    near, wide = (cv2.GaussianBlur(grid, (0, 0), squares) for squares in (0.8, 2.5))
    return np.asarray(near + np.float32(0.05) * wide, np.float32)
