"""Follow a camera along its path: where it is and how it is turned, at any moment.

A path is a table of poses in the axes that the camera has when the clip begins: x right, y down,
z forward. The camera counts as level then, so that snow falls along y. Between the poses places
and quaternions are cubic Hermite curves whose slopes are differences of neighbours: they have no
corners, and no state is carried from frame to frame.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CameraPath:
    """The poses of a camera; `camera_path` makes one."""

    begin_s: float
    """Time stamp of the first pose."""
    time_s: Array
    """[N] seconds since then, increasing from 0."""
    position_m: Array
    """[N, 3] in the axes of the first pose."""
    rotation: Array
    """[N, 4] quaternions x, y, z, w that turn the camera's axes into those of the first pose."""

    def at(self, time_s: float) -> tuple[Array, Array]:
        """Return place [3] and turn [3, 3] of the camera at a time; the turn maps from its axes.

        Before the first pose and after the last it goes straight on.
        """
        table = self._table
        if len(table) == 1:
            return table[0, :3], _matrix(table[0, 3:])
        times, since = self.time_s, time_s - self.begin_s
        i = int(np.clip(np.searchsorted(times, since, side="right") - 1, 0, len(times) - 2))
        (a, b), (da, db), step = table[i : i + 2], self._slopes[i : i + 2], times[i + 1] - times[i]
        if since < times[0]:
            here = a + da * (since - times[0])
        elif since > times[-1]:
            here = b + db * (since - times[-1])
        else:
            s = (since - times[i]) / step
            rising = s * s * (3 - 2 * s)
            bend = s * (1 - s) * step * ((1 - s) * da - s * db)
            here = a + rising * (b - a) + bend
        return here[:3], _matrix(here[3:])

    @cached_property
    def _table(self) -> Array:
        return np.column_stack([self.position_m, self.rotation])

    @cached_property
    def _slopes(self) -> Array:
        return np.asarray(np.gradient(self._table, self.time_s, axis=0))

    def mean_velocity(self) -> tuple[float, float, float]:
        """Return the mean velocity in m/s, in the axes of the first pose."""
        if len(self.time_s) < 2:
            return 0.0, 0.0, 0.0
        x, y, z = map(float, (self.position_m[-1] - self.position_m[0]) / self.time_s[-1])
        return x, y, z

    def widest_turn_deg(self) -> float:
        """Return the largest angle between the first pose and any other."""
        unit = np.abs(self.rotation[:, 3]) / np.linalg.norm(self.rotation, axis=1)
        return float(2 * np.degrees(np.arccos(np.clip(unit.min(), 0, 1))))

    def facts(self) -> dict[str, Any]:
        """Return the poses as JSON values, from which `read_poses` gives the same path, exactly."""
        table = {
            "time_s": self.time_s.tolist(),
            "position_m": self.position_m.tolist(),
            "rotation_xyzw": self.rotation.tolist(),
        }
        numbers = np.column_stack([self.time_s, self._table])
        digest = hashlib.sha256(np.ascontiguousarray(numbers, "<f8").tobytes()).hexdigest()
        return table | {"sha256": digest}


def camera_path(begin_s: float, time_s: Array, position_m: Array, rotation: Array) -> CameraPath:
    """Return the path through poses in any axes that stand, counted from the first one.

    `rotation` [N, 4] holds unit quaternions x, y, z, w from the camera's axes to those.
    """
    turned = np.array(rotation, np.float64)
    if position_m[0].any() or turned[0, :3].any():
        position_m = (position_m - position_m[0]) @ _matrix(turned[0])
        turned = _after(turned[0] * np.array([-1.0, -1.0, -1.0, 1.0]), turned)
    # q and -q are one turn: neighbours of one sign, so that the curve takes the short way.
    flips = np.where(np.sum(turned[1:] * turned[:-1], axis=1) < 0, -1.0, 1.0)
    turned[1:] *= np.cumprod(flips)[:, None]
    return CameraPath(begin_s, time_s - time_s[0], np.asarray(position_m, np.float64), turned)


def _after(first: Array, then: Array) -> Array:
    """Return the quaternion products first · then, [N, 4]."""
    v, w = first[:3], first[3]
    u, s = then[:, :3], then[:, 3:]
    vector = w * u + s * v + np.cross(v, u)
    return np.column_stack([vector, w * s[:, 0] - u @ v])


def _matrix(q: Array) -> Array:
    """Return the turn [3, 3] of a quaternion x, y, z, w of any length."""
    x, y, z, w = (float(part) for part in q)
    s = 2 / (x * x + y * y + z * z + w * w)
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )
