"""Say which flake is where in a frame and where it goes: truth for detectors, trackers and flow.

Only flakes that are drawn singly can be told apart; grain and veil have no entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.flight import BLUR, DEPTH, DU, DV, ID, RADIUS, Flight, U, V
from rvsd_bench.generators.haze import LEVELS, depth_index
from rvsd_bench.generators.population import FALL
from rvsd_bench.generators.rendering import Shot
from rvsd_bench.generators.turning import TurningFlight

LEAST_REACH_PX = 0.71
"""Half the diagonal of a pixel: the smallest flake reaches at least one pixel's centre."""


@dataclass(frozen=True, eq=False)
class Flakes:
    """The flakes of one frame, one row each, far ones first. Pixel centres lie at half numbers."""

    id: NDArray[np.int64]
    """[N] the flake's number, the same in all frames of a shot. Modulo the number of flakes it is
    the row of the population, for a camera on a path sees copies of one flake as several."""
    position_px: NDArray[np.float64]
    """[N, 2] x and y of its middle when the exposure begins."""
    streak_px: NDArray[np.float64]
    """[N, 2] its way during the exposure."""
    motion_px: NDArray[np.float64]
    """[N, 2] its way to the next frame; NaN if the clip has one frame."""
    radius_px: NDArray[np.float64]
    """[N] of the sharp flake."""
    blur_px: NDArray[np.float64]
    """[N] diameter of its circle of confusion."""
    depth_m: NDArray[np.float64]
    """[N] planar z."""
    visible: NDArray[np.bool_]
    """[N] whether the middle of its streak is in the picture, and before the scene."""

    def __len__(self) -> int:
        return len(self.id)


def flakes(shot: Shot, index: int) -> Flakes:
    """List the flakes that touch frame `index` of a shot.

    The motion is exact where the flake is seen in the next frame too; the streak is prolonged for
    one that is not. After the last frame, the next one is taken to come as that one came.
    """
    rows = shot.snowfall.flight.seen(float(shot.times[index]))
    middle = rows[:, [U, V]] + rows[:, [DU, DV]] / 2
    return Flakes(
        id=rows[:, ID].astype(np.int64),
        position_px=rows[:, [U, V]],
        streak_px=rows[:, [DU, DV]],
        motion_px=_motion(shot, index, rows),
        radius_px=rows[:, RADIUS],
        blur_px=rows[:, BLUR],
        depth_m=rows[:, DEPTH],
        visible=_before(middle, _steps(shot, rows[:, DEPTH]), _depth(shot, index)),
    )


def snow_flow(shot: Shot, index: int) -> NDArray[np.float32]:
    """Return the optical flow of the snow in frame `index`, float32 [H, W, 2] in pixels per frame.

    x and y of each pixel's nearest flake, whose streak and blur circle reach the pixel's centre;
    NaN where no flake does, or only behind the scene.
    """
    seen = flakes(shot, index)
    flow = np.full((*shot.size, 2), np.nan, np.float32)
    reach = np.maximum(seen.radius_px + seen.blur_px / 2, LEAST_REACH_PX)
    streaks = np.column_stack([seen.position_px, seen.streak_px, reach, seen.motion_px])
    steps = _steps(shot, seen.depth_m)
    _paint(np.ascontiguousarray(streaks), steps, _depth(shot, index), flow)
    return flow


def _depth(shot: Shot, index: int) -> NDArray[np.uint16]:
    return depth_index(shot.depth.at(index), shot.depth.far_m)


def _steps(shot: Shot, depth_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return depths in steps of far/65535, as `splat` rounds them."""
    return (depth_m * ((LEVELS - 1) / shot.depth.far_m) + 0.5).astype(np.int64)


def _before(
    place_px: NDArray[np.float64], steps: NDArray[np.int64], depth: NDArray[np.uint16]
) -> NDArray[np.bool_]:
    column, row = np.floor(place_px).astype(np.int64).T
    height, width = depth.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    behind = depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.asarray(inside & (behind >= steps))


def _motion(shot: Shot, index: int, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    times = shot.times
    if len(times) < 2:
        return np.full((len(rows), 2), np.nan)
    first = min(index, len(times) - 2)
    interval_s = float(times[first + 1] - times[first])
    flight = shot.snowfall.flight
    motion = rows[:, [DU, DV]] * (interval_s / flight.camera.shutter_s)
    later = flight.seen(float(times[index]) + interval_s)
    shared, here, there = np.intersect1d(
        rows[:, ID], later[:, ID], assume_unique=True, return_indices=True
    )
    if isinstance(flight, TurningFlight):  # every copy has a number of its own
        motion[here] = later[there][:, [U, V]] - rows[here][:, [U, V]]
        return motion
    numbers = shared.astype(np.int64)
    moved_m = _place_m(flight, later[there]) - _place_m(flight, rows[here])
    # Otherwise it has come back in at the other end of its box: another flake to the eye.
    astray_m = np.abs(moved_m - interval_s * _drift_m_per_s(flight, numbers))
    same = (astray_m < flight.flakes.box_m[numbers] / 2).all(axis=1)
    here, there = here[same], there[same]
    motion[here] = later[there][:, [U, V]] - rows[here][:, [U, V]]
    return motion


def _drift_m_per_s(flight: Flight, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the velocity [N, 3] of some flakes past the camera, but for eddies and swing."""
    carried = np.subtract(flight.wind_m_per_s, flight.camera_m_per_s)
    fall = flight.flakes.traits[numbers, FALL]
    return np.asarray(carried + fall[:, None] * np.array([0.0, 1.0, 0.0]))


def _place_m(flight: Flight, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the places [N, 3] before the camera of rows of a drawing list."""
    height, width = flight.view.size
    across = (rows[:, [U, V]] - np.array([width, height]) / 2) / flight.view.focal_px
    return np.column_stack([across * rows[:, [DEPTH]], rows[:, DEPTH]])


@numba.njit("void(f8[:,::1], i8[::1], u2[:,::1], f4[:,:,::1])", cache=True, error_model="numpy")
def _paint(streaks: Any, steps: Any, depth: Any, flow: Any) -> None:
    """Paint the motion of flakes, far ones first, within a reach of their streaks."""
    height, width = depth.shape
    for i in range(streaks.shape[0]):
        x, y, du, dv, reach, right_px, down_px = streaks[i]
        run2 = max(du * du + dv * dv, 1e-12)
        top, end = max(int(min(y, y + dv) - reach), 0), int(max(y, y + dv) + reach) + 1
        left, right = max(int(min(x, x + du) - reach), 0), int(max(x, x + du) + reach) + 1
        for row in range(top, min(end, height)):
            for column in range(left, min(right, width)):
                dx, dy = column + 0.5 - x, row + 0.5 - y
                along = min(max((dx * du + dy * dv) / run2, 0.0), 1.0)
                aside2 = (dx - along * du) ** 2 + (dy - along * dv) ** 2
                if aside2 <= reach * reach and depth[row, column] >= steps[i]:
                    flow[row, column, 0], flow[row, column, 1] = right_px, down_px
