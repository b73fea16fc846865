"""Show the flakes to a camera that follows a path, speeding up and turning as it goes.

The boxes of flakes repeat in space, in the axes in which the camera began. It sees every copy that
its frustum holds, wherever it has come to and however it is turned: their number stays what the
size law says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.flight import (
    BLOCK,
    DEPTH,
    GAIN,
    ID,
    MARGIN_PX,
    TURN,
    Flight,
    blur_at_infinity_px,
    far_first,
    project_flake,
    sine_of_turns,
    stir_block,
)
from rvsd_bench.generators.path import CameraPath
from rvsd_bench.generators.population import (
    DIAMETER,
    FALL,
    PHASE,
    REACH,
    SWING,
    SWING_HZ,
    Population,
    View,
)
from rvsd_bench.generators.population import GAIN as OWN_GAIN
from rvsd_bench.generators.region import Region, whole
from rvsd_bench.generators.scene import Camera

Array = NDArray[np.float64]

COPIES = 1024
"""Copies of a flake along an axis that are told apart by their numbers."""
MANY = 4
"""If more copies along an axis may be seen, one is."""


@dataclass(frozen=True, eq=False)
class TurningFlight:
    """Flakes past a camera on a path: like `Flight`, which is faster but knows one velocity."""

    flakes: Population
    waves: NDArray[np.float64]
    wind_m_per_s: tuple[float, float, float]
    """In the axes of the first pose, as the path is."""
    path: CameraPath
    camera: Camera
    view: View

    @cached_property
    def stir_m(self) -> float:
        """A bound on how far the eddies carry any of the flakes from their straight path."""
        still = (0.0, 0.0, 0.0)
        return Flight(
            self.flakes, self.waves, self.wind_m_per_s, still, self.camera, self.view
        ).stir_m

    def seen(self, time_s: float, region: Region | None = None) -> NDArray[np.float64]:
        """Return the flakes that touch the picture at a time, float64 [M, 10], far ones first.

        Columns are those of `flight`. The number of each copy of a flake, modulo that of all
        flakes, is the flake's own; a copy keeps its number.
        """
        few = self._maybe(time_s, region)
        room = 2 * len(few) + 64
        while True:
            rows = np.empty((room, 10))
            count = _fly(
                few,
                self.flakes.origin_m,
                self.flakes.box_m,
                self.flakes.traits,
                self.waves,
                *self._surroundings(time_s, region),
                rows,
            )
            if count < room:
                break
            room = count + 1
        rows = rows[:count]
        return np.asarray(rows[far_first(np.ascontiguousarray(rows[:, DEPTH]))])

    def narrowed(self, times_s: Array, region: Region) -> TurningFlight:
        """Return the flight of those flakes that a region may show at some times.

        What it shows there is what the whole flight shows, but for the flakes' numbers.
        """
        all_ = self.flakes
        few = np.unique(np.concatenate([self._maybe(float(time), region) for time in times_s]))
        flakes = Population(all_.origin_m[few], all_.box_m[few], all_.traits[few])
        return replace(self, flakes=flakes)

    def _maybe(self, time_s: float, region: Region | None) -> NDArray[np.int64]:
        """List the flakes of which a copy may be seen."""
        few = np.empty(len(self.flakes), np.int64)
        count = _maybe(
            self.flakes.origin_m,
            self.flakes.box_m,
            self.flakes.traits,
            *self._surroundings(time_s, region),
            few,
        )
        return few[:count]

    def _surroundings(self, time_s: float, region: Region | None) -> tuple[Any, ...]:
        """Return what all flakes meet alike: wind, eddies' bounds, pose, exposure and lens."""
        loose = float(np.linalg.norm(self.waves[:, 3:6], axis=1).sum())
        return (
            np.asarray(self.wind_m_per_s, np.float64),
            np.array([self.stir_m, loose]),
            *self._pose(time_s),
            self._when(time_s),
            self._lens(region),
            blur_at_infinity_px(self.camera, self.view.focal_px),
        )

    def _pose(self, time_s: float) -> tuple[Array, Array]:
        """Return the camera's turns [3, 3, 3] and ways [2, 3] over an exposure.

        A flake at p before the camera, flying at v, moves past it at the mean velocity
        spin·p + later·v - carry: exactly so from one end of the exposure to the other.
        """
        shutter = self.camera.shutter_s
        (place, turn), (there, turned) = self.path.at(time_s), self.path.at(time_s + shutter)
        spin = (turned.T @ turn - np.eye(3)) / shutter
        carry = turned.T @ (there - place) / shutter
        return np.stack([turn.T, turned.T, spin]), np.stack([place, carry])

    def _when(self, time_s: float) -> Array:
        camera = self.camera
        return np.array([time_s, camera.shutter_s, 1 / camera.focus_m, camera.rolling_shutter_s])

    def _lens(self, region: Region | None) -> Array:
        """Return focal length, middle and nearest depth, and the edges of a region, in pixels."""
        height, width = self.view.size
        top, left, high, wide = region or whole(self.view.size)
        eye = (self.view.focal_px, 0.5 * height, 0.5 * width, self.view.near_m)
        return np.array([*eye, top, left, top + high, left + wide], np.float64)


@numba.njit(cache=True, error_model="numpy")
def _rotated(turn: Any, x: float, y: float, z: float) -> Any:
    """Return a matrix times a vector."""
    return (
        turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
        turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
        turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
    )


@numba.njit(cache=True, error_model="numpy")
def _corners(view: Any, edges: Any) -> Any:
    """Return the least and the largest coordinates [2, 3] of the view down to a depth of 1.

    `edges` are those of the picture at that depth: top, left, bottom, right; `view` maps into the
    camera's axes, its columns are therefore coordinates of the camera's axes.
    """
    bounds = np.zeros((2, 3))
    for y in (edges[0], edges[2]):
        for x in (edges[1], edges[3]):
            for axis in range(3):
                place = view[0, axis] * x + view[1, axis] * y + view[2, axis]
                bounds[0, axis] = min(bounds[0, axis], place)
                bounds[1, axis] = max(bounds[1, axis], place)
    return bounds


@numba.njit(cache=True, error_model="numpy")
def _beside(x: float, z: float, low: float, high: float, slack: float, pad: float) -> bool:
    """Tell if what may move by `slack` stays out of the wedge between two slopes x/z."""
    near, far = max(z - slack, 0.0), z + slack
    outside: bool = (
        x + slack < min(low * near, low * far) - pad
        or x - slack > max(high * near, high * far) + pad
    )
    return outside


@numba.njit(cache=True, error_model="numpy")
def _edges(when: Any, lens: Any, blur: float) -> Any:
    """Return top, left, bottom and right of what is drawn, at a depth of 1."""
    margin = MARGIN_PX + blur * when[2]
    return np.array(
        [
            (lens[4] - margin - lens[1]) / lens[0], (lens[5] - margin - lens[2]) / lens[0],
            (lens[6] + margin - lens[1]) / lens[0], (lens[7] + margin - lens[2]) / lens[0],
        ]
    )  # fmt: skip


@numba.njit(cache=True, error_model="numpy")
def _rates(wind: Any, stir: Any, turns: Any, ways: Any, edges: Any) -> Any:
    """Return bounds on how fast wind, eddies and camera make for, and the camera's turn per m."""
    wide = math.sqrt(1.0 + 2.0 * np.max(edges * edges))
    speed = math.sqrt(np.sum(wind * wind)) + stir[1] + math.sqrt(np.sum(ways[1] * ways[1]))
    return speed, 2.0 * wide * math.sqrt(np.sum(turns[2] * turns[2]))


@numba.njit(cache=True, error_model="numpy")
def _way(traits: Any, rates: Any, off: float, when: Any) -> float:
    """Return how far a flake gets past the camera during an exposure, at most, in m."""
    own = traits[FALL] + 2.0 * math.pi * traits[SWING_HZ] * traits[SWING]
    span = when[1] + 2.0 * when[3]
    way: float = (rates[0] + own + rates[1] * (traits[REACH] + off)) * span
    return way


@numba.njit(cache=True, error_model="numpy")
def _ranges(
    x: float, y: float, z: float, box: Any, bounds: Any, deep: float, pad: float
) -> Any:  # fmt: skip
    """Return the first and last copy along each axis that the bounds of the view may hold."""
    return (
        math.ceil((deep * bounds[0, 0] - pad - x) / box[0]),
        math.floor((deep * bounds[1, 0] + pad - x) / box[0]) + 1,
        math.ceil((deep * bounds[0, 1] - pad - y) / box[1]),
        math.floor((deep * bounds[1, 1] + pad - y) / box[1]) + 1,
        math.ceil((deep * bounds[0, 2] - pad - z) / box[2]),
        math.floor((deep * bounds[1, 2] + pad - z) / box[2]) + 1,
    )


@numba.njit(cache=True, error_model="numpy")
def _out_of_view(
    x: float, y: float, z: float, slack: float, pad: float, near: float, reach: float, edges: Any
) -> bool:  # fmt: skip
    """Tell if a flake at a place before the camera, give or take `slack`, cannot be seen."""
    outside: bool = (
        z + slack < near
        or z - slack > reach
        or _beside(x, z, edges[1], edges[3], slack, pad)
        or _beside(y, z, edges[0], edges[2], slack, pad)
    )
    return outside


@numba.njit(
    "i8(f8[:,::1],f8[:,::1],f8[:,::1],f8[::1],f8[::1],f8[:,:,::1],f8[:,::1],f8[::1],f8[::1],f8,"
    "i8[::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _maybe(
    origin: Any, box: Any, traits: Any, wind: Any, stir: Any, turns: Any, ways: Any, when: Any,
    lens: Any, blur: float, few: Any,
) -> int:  # fmt: skip
    """List the flakes of which a copy may be seen, wherever the eddies have brought it."""
    edges = _edges(when, lens, blur)
    bounds, rates = _corners(turns[0], edges), _rates(wind, stir, turns, ways, edges)
    count = 0
    for i in range(origin.shape[0]):
        off = stir[0] + traits[i, SWING]
        slack = off + _way(traits[i], rates, off, when)
        pad, reach = traits[i, DIAMETER] + blur / lens[0], traits[i, REACH]
        x = origin[i, 0] + wind[0] * when[0] - ways[0, 0]
        y = origin[i, 1] + (wind[1] + traits[i, FALL]) * when[0] - ways[0, 1]
        z = origin[i, 2] + wind[2] * when[0] - ways[0, 2]
        a0, a1, b0, b1, c0, c1 = _ranges(x, y, z, box[i], bounds, reach + slack, pad + slack)
        # Where eddies are larger than the box it could be anywhere: no use to look more closely.
        seen = max(a1 - a0, b1 - b0, c1 - c0) > MANY
        for a in range(a0, a0 if seen else a1):
            for b in range(b0, b1):
                for c in range(c0, c1):
                    u, v, w = _rotated(
                        turns[0], x + a * box[i, 0], y + b * box[i, 1], z + c * box[i, 2]
                    )
                    seen |= not _out_of_view(u, v, w, slack, pad, lens[3], reach, edges)
        if seen:
            few[count] = i
            count += 1
    return count


@numba.njit(cache=True, error_model="numpy")
def _see(
    x: float, y: float, z: float, velocity: Any, traits: Any, turns: Any, ways: Any, when: Any,
    lens: Any, blur: float, rows: Any, count: int,
) -> bool:  # fmt: skip
    """Write what is seen of a copy at a place and velocity before the camera into row `count`."""
    if z >= traits[REACH]:
        return False
    spun = _rotated(turns[2], x, y, z)
    vx, vy, vz = velocity[0] + spun[0], velocity[1] + spun[1], velocity[2] + spun[2]
    vx, vy, vz = vx - ways[1, 0], vy - ways[1, 1], vz - ways[1, 2]
    rows[count, GAIN], rows[count, TURN] = traits[OWN_GAIN], traits[PHASE]
    seen: bool = project_flake(x, y, z, vx, vy, vz, traits[DIAMETER], when, lens, blur, rows, count)
    return seen


@numba.njit(cache=True, error_model="numpy")
def _see_copies(
    i: int, begun: Any, moved: Any, box: Any, traits: Any, wind: Any, turns: Any, ways: Any,
    when: Any, lens: Any, blur: float, edges: Any, bounds: Any, rates: Any, number: int,
    rows: Any, count: int,
) -> int:  # fmt: skip
    """Write all copies of a flake that are seen, from row `count` on; return the next row."""
    time, swing = when[0], traits[SWING]
    pace = 2.0 * math.pi * traits[SWING_HZ] * swing
    turn = traits[SWING_HZ] * time + traits[PHASE]
    sine, cosine = sine_of_turns(turn), sine_of_turns(turn + 0.25)
    x = begun[0] + wind[0] * time + moved[0] + swing * sine - ways[0, 0]
    y = begun[1] + (wind[1] + traits[FALL]) * time + moved[1] - ways[0, 1]
    z = begun[2] + wind[2] * time + moved[2] + swing * cosine - ways[0, 2]
    velocity = _rotated(
        turns[1],
        moved[3] + wind[0] + pace * cosine,
        moved[4] + wind[1] + traits[FALL],
        moved[5] + wind[2] - pace * sine,
    )
    way, pad, reach = (
        _way(traits, rates, 0.0, when),
        traits[DIAMETER] + blur / lens[0],
        traits[REACH],
    )
    a0, a1, b0, b1, c0, c1 = _ranges(x, y, z, box, bounds, reach + way, pad + way)
    for a in range(a0, a1):
        for b in range(b0, b1):
            for c in range(c0, c1):
                u, v, w = _rotated(turns[0], x + a * box[0], y + b * box[1], z + c * box[2])
                if _out_of_view(u, v, w, way, pad, lens[3], reach, edges):
                    continue
                row = min(count, len(rows) - 1)
                if _see(u, v, w, velocity, traits, turns, ways, when, lens, blur, rows, row):
                    copy = ((a % COPIES) * COPIES + b % COPIES) * COPIES + c % COPIES
                    rows[row, ID] = i + float(copy) * number
                    count += 1
    return count


@numba.njit(
    "i8(i8[::1],f8[:,::1],f8[:,::1],f8[:,::1],f8[:,::1],f8[::1],f8[::1],f8[:,:,::1],f8[:,::1],"
    "f8[::1],f8[::1],f8,f8[:,::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _fly(
    few: Any, origin: Any, box: Any, traits: Any, waves: Any, wind: Any, stir: Any, turns: Any,
    ways: Any, when: Any, lens: Any, blur: float, rows: Any,
) -> int:  # fmt: skip
    """Write what is seen of some flakes into `rows`; return how many rows that takes."""
    begun, moved = np.zeros((4, BLOCK)), np.empty((6, BLOCK))
    edges = _edges(when, lens, blur)
    bounds, rates = _corners(turns[0], edges), _rates(wind, stir, turns, ways, edges)
    count = 0
    for start in range(0, len(few), BLOCK):
        block = few[start : min(start + BLOCK, len(few))]
        for k, i in enumerate(block):
            begun[0, k], begun[1, k], begun[2, k] = origin[i, 0], origin[i, 1], origin[i, 2]
            begun[3, k] = traits[i, FALL]
        stir_block(begun, when[0], waves, wind, moved)
        for k, i in enumerate(block):
            count = _see_copies(
                i, begun[:, k], moved[:, k], box[i], traits[i], wind, turns, ways, when, lens,
                blur, edges, bounds, rates, len(origin), rows, count,
            )  # fmt: skip
    return count
