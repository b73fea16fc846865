"""Sum up what goes by a camera on a path, as the grain needs it: in the camera's own axes.

Grain is looked up in tiles that face the camera, so that what counts is how far air and camera have
moved past one another along the axes that the camera has at each moment. Under a turn all grain
moves like what is infinitely far away. The sums are tabulated; any moment is read between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.path import CameraPath

Array = NDArray[np.float64]

STEPS = 4
"""Entries of the table from one pose to the next."""
BEYOND_S = 0.5
"""The table goes on for so long after the last pose: its exposure, and the flow to the next."""


@dataclass(frozen=True, eq=False)
class Passage:
    """What has gone by since the first pose, for S kinds of flakes, each with its fall speed."""

    begin_s: float
    step_s: float
    way_m: Array
    """[M, S, 3] the integral of the air's velocity past the camera, along the camera's axes."""
    turn: Array
    """[M, 2] how far the axis has swept, right and down, in radians, as the picture's shift."""
    swept_m: Array
    """[M, S, 2] the integral of the third way by the turn: near sheets are swept less."""

    def at(self, time_s: Array) -> tuple[Array, Array, Array]:
        """Return way [T, S, 3], turn [T, 2] and swept [T, S, 2] at some times [T]."""
        place = np.clip((time_s - self.begin_s) / self.step_s, 0, len(self.turn) - 1.000001)
        first = np.floor(place).astype(int)
        part = place - first

        def between(table: Array) -> Array:
            share = part.reshape(-1, *[1] * (table.ndim - 1))
            return np.asarray(table[first] * (1 - share) + table[first + 1] * share)

        return between(self.way_m), between(self.turn), between(self.swept_m)

    @property
    def approaches_m_per_s(self) -> float:
        """The fastest approach of the air, or retreat from it."""
        return float(np.abs(np.diff(self.way_m[..., 2], axis=0)).max()) / self.step_s


def passage(path: CameraPath, wind_m_per_s: tuple[float, float, float], fall: Array) -> Passage:
    """Sum up what passes a camera: the wind, and flakes of some fall speeds [S] in it."""
    frame_s = float(np.diff(path.time_s).mean()) if len(path.time_s) > 1 else 1.0
    step = frame_s / STEPS
    count = int(np.ceil((path.time_s[-1] + BEYOND_S) / step)) + 1
    poses = [path.at(path.begin_s + i * step) for i in range(count)]
    places, turns = np.array([place for place, _ in poses]), np.array([turn for _, turn in poses])
    middle = (turns[1:] + turns[:-1]) / 2
    wind, down = np.asarray(wind_m_per_s) * step, np.array([0.0, 1.0, 0.0]) * step
    way = np.einsum("mji,mj->mi", middle, wind - np.diff(places, axis=0))[:, None]
    way = way + fall[:, None] * np.einsum("mji,j->mi", middle, down)[:, None]
    way = _summed(way)
    swept = np.einsum("mji,mj->mi", turns[1:], turns[:-1, :, 2])[:, :2]
    middle_way = (way[1:, :, 2:] + way[:-1, :, 2:]) / 2
    return Passage(path.begin_s, step, way, _summed(swept), _summed(middle_way * swept[:, None]))


def _summed(steps: Array) -> Array:
    return np.concatenate([np.zeros((1, *steps.shape[1:])), np.cumsum(steps, axis=0)])
