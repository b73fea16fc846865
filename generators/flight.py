"""Say where every flake is at a moment, in closed form, and where the camera sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

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
from rvsd_bench.generators.turbulence import DRIFT_RAD_PER_S

U, V, DU, DV, RADIUS, BLUR, DEPTH, GAIN, TURN, ID = range(10)
"""Columns of a drawing list: start of the streak and its run in pixels, radius and diameter of the
blur circle in pixels, depth in metres, radiance over the air's, phase, and the flake's number."""

BLOCK = 256
"""So many flakes are stirred at once: their numbers stay in the processor's nearest memory."""
MARGIN_PX = 10.0
"""Besides 1.8 radii and 0.75 blur circles, a flake is drawn no further from its streak than this,
whatever the lens: crops hold every flake that the whole picture has there."""


@dataclass(frozen=True, eq=False)
class Flight:
    """Flakes on their way past a camera: all that their places depend on but the time."""

    flakes: Population
    waves: NDArray[np.float64]
    """The eddies, as `turbulence.modes` gives them."""
    wind_m_per_s: tuple[float, float, float]
    camera_m_per_s: tuple[float, float, float]
    camera: Camera
    view: View

    @cached_property
    def stir_m(self) -> float:
        """A bound on how far the eddies carry any of the flakes from their straight path."""
        return _farthest_stir_m(self)

    def seen(self, time_s: float, region: Region | None = None) -> NDArray[np.float64]:
        """Return the flakes that touch the picture at a time, float64 [M, 10], far ones first.

        With a `region` they are those that touch this part of it, in the same order.

        Flakes are displaced by the eddies first, wrapped into their box after that, and only then
        is it decided whether they are seen: to decide earlier would lose a quarter of them.
        """
        rows = self._fly(time_s, 0.0, region)
        order: NDArray[np.int64] = far_first(np.ascontiguousarray(rows[:, DEPTH]))
        return rows[order]

    def narrowed(self, times_s: NDArray[np.float64], region: Region) -> Flight:
        """Return the flight of those flakes that a region may show between the given times.

        What it shows there is what the whole flight shows, but for the flakes' numbers; to find
        the few once spares looking through all of them for each frame of a crop.
        """
        first, last = float(np.min(times_s)), float(np.max(times_s))
        if last <= first:
            return self
        few = self._fly((first + last) / 2, (last - first) / 2 + 1e-9, region)[:, ID].astype(int)
        all_ = self.flakes
        flakes = Population(all_.origin_m[few], all_.box_m[few], all_.traits[few])
        return replace(self, flakes=flakes)

    def _fly(self, time_s: float, span_s: float, region: Region | None) -> NDArray[np.float64]:
        rows = np.empty((len(self.flakes), 10))
        count = _fly(
            self.flakes.origin_m,
            self.flakes.box_m,
            self.flakes.traits,
            self.waves,
            np.array([self.wind_m_per_s, self.camera_m_per_s], np.float64),
            np.array([self.stir_m, np.linalg.norm(self.waves[:, 3:6], axis=1).sum()]),
            self._when(time_s, span_s),
            self._lens(region),
            blur_at_infinity_px(self.camera, self.view.focal_px),
            rows,
        )
        return rows[:count]

    def _when(self, time_s: float, span_s: float) -> NDArray[np.float64]:
        camera = self.camera
        focus, rolling = 1 / camera.focus_m, camera.rolling_shutter_s
        return np.array([time_s, camera.shutter_s, focus, rolling, span_s])

    def _lens(self, region: Region | None) -> NDArray[np.float64]:
        """Return focal length, middle and nearest depth, and the edges of a region, in pixels."""
        height, width = self.view.size
        top, left, high, wide = region or whole(self.view.size)
        eye = (self.view.focal_px, 0.5 * height, 0.5 * width, self.view.near_m)
        return np.array([*eye, top, left, top + high, left + wide], np.float64)


def blur_at_infinity_px(camera: Camera, focal_px: float) -> float:
    """Return c such that the circle of confusion is c |1/focus - 1/z| pixels wide, z in metres.

    A thin lens, far closer to its sensor than to its subject.
    """
    return camera.focal_mm / 1000 / camera.f_number * focal_px


def _farthest_stir_m(flight: Flight) -> float:
    falls = flight.flakes.traits[:, FALL]
    extremes = np.array([falls.min(initial=0.0), falls.max(initial=0.0)])
    steady = flight.waves[:, :3] @ np.asarray(flight.wind_m_per_s) + flight.waves[:, 6]
    speeds = 2 * math.pi * (steady[:, None] + flight.waves[:, 1:2] * extremes)
    # speed/(speed² + drift²) grows up to speed = drift and falls beyond it.
    low, high = np.abs(speeds).min(axis=1), np.abs(speeds).max(axis=1)
    low[np.prod(speeds, axis=1) < 0] = 0.0
    worst = np.clip(DRIFT_RAD_PER_S, low, high)
    lever = worst / (worst**2 + DRIFT_RAD_PER_S**2)
    return float(np.linalg.norm(flight.waves[:, 3:6], axis=1) @ lever)


@numba.njit("i8[::1](f8[::1])", cache=True, error_model="numpy")
def far_first(depth: Any) -> Any:
    """Return the order of depths above 0, the largest first, equal ones as they come.

    They are put into bins of 1/2048 of their octave, by the bits of their numbers, and moved past
    the few that are left to pass.
    """
    order = np.empty(len(depth), np.int64)
    if len(depth) == 0:
        return order
    bins = depth.astype(np.float32).view(np.int32) >> 12
    last = bins.max()
    begin = np.zeros(last - bins.min() + 2, np.int64)
    for number in bins:
        begin[last - number + 1] += 1
    begin = np.cumsum(begin)
    for i in range(len(depth)):
        order[begin[last - bins[i]]] = i
        begin[last - bins[i]] += 1
    for j in range(1, len(depth)):
        i = order[j]
        while j > 0 and depth[order[j - 1]] < depth[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
    return order


@numba.njit("f8(f8)", inline="always", cache=True, error_model="numpy")
def sine_of_turns(turns: float) -> float:
    """Return sin(2 pi turns) to 1e-3, by additions and products only: the same on any machine."""
    x = turns - np.floor(turns + 0.5)
    y = x * (8.0 - 16.0 * abs(x))
    sine: float = y * (0.775 + 0.225 * abs(y))
    return sine


@numba.njit("f8(f8, f8, f8)", inline="always", cache=True, error_model="numpy")
def _wrap(x: float, low: float, period: float) -> float:
    wrapped: float = x - period * np.floor((x - low) / period)
    return wrapped


@numba.njit(cache=True, error_model="numpy")
def stir_block(begun: Any, time: float, waves: Any, wind: Any, moved: Any) -> None:
    """Write displacement and velocity by the eddies, `moved` [6, n], of some flakes.

    `begun` [4, n] holds where each began, x, y, z, and its fall speed. A wave a·cos(phase), met at
    the angular speed w by a flake that keeps to its path, moves it by a·sin(phase)·w/(w² + drift²).
    """
    moved[:] = 0.0
    for j in range(waves.shape[0]):
        kx, ky, kz = waves[j, 0], waves[j, 1], waves[j, 2]
        ax, ay, az = waves[j, 3], waves[j, 4], waves[j, 5]
        steady = kx * wind[0] + ky * wind[1] + kz * wind[2] + waves[j, 6]
        for k in range(begun.shape[1]):  # with neither branch nor call: it is vectorised
            rate = steady + ky * begun[3, k]
            along = kx * begun[0, k] + ky * begun[1, k] + kz * begun[2, k]
            phase = along + rate * time + waves[j, 7]
            speed = 2.0 * math.pi * rate
            lever = speed / (speed * speed + DRIFT_RAD_PER_S * DRIFT_RAD_PER_S)
            swing, pace = lever * sine_of_turns(phase), lever * speed * sine_of_turns(phase + 0.25)
            moved[0, k] += ax * swing
            moved[1, k] += ay * swing
            moved[2, k] += az * swing
            moved[3, k] += ax * pace
            moved[4, k] += ay * pace
            moved[5, k] += az * pace


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _outside(x: float, slack: float, period: float, low: float, high: float) -> bool:
    """Tell if a place that repeats lies outside two bounds, though it may move by `slack`."""
    if 2.0 * slack >= period:
        return False
    low, high = low - slack, high + slack
    near = x < low or x > high
    return (
        near and (x + period < low or x + period > high) and (x - period > high or x - period < low)
    )


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _beside(
    x: float, y: float, near: float, far: float, slack: Any, box: Any, pad: float, margin: float,
    lens: Any,
) -> bool:  # fmt: skip
    """Tell if a flake cannot be seen while it is between two depths."""
    if far < lens[3]:
        return True
    top, left = (lens[4] - margin - lens[1]) / lens[0], (lens[5] - margin - lens[2]) / lens[0]
    end, right = (lens[6] + margin - lens[1]) / lens[0], (lens[7] + margin - lens[2]) / lens[0]
    low, high = min(left * near, left * far) - pad, max(right * near, right * far) + pad
    if _outside(x, slack[0], box[0], low, high):
        return True
    low, high = min(top * near, top * far) - pad, max(end * near, end * far) + pad
    aside: bool = _outside(y, slack[1], box[1], low, high)
    return aside


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _surely_unseen(
    x: float, y: float, z: float, slack: Any, box: Any, reach: float, pad: float, margin: float,
    lens: Any,
) -> bool:  # fmt: skip
    """Tell if a flake cannot be seen however it moves by up to `slack` metres along each axis.

    At either end of its box it comes in again at the other.
    """
    near, far, deep = z - slack[2], z + slack[2], box[2]
    if 2.0 * slack[2] >= deep:
        return bool(_beside(x, y, 0.0, deep, slack, box, pad, margin, lens))
    if near <= reach and not _beside(x, y, max(near, 0.0), far, slack, box, pad, margin, lens):
        return False
    if near < 0.0 and near + deep <= reach:
        return bool(_beside(x, y, near + deep, deep, slack, box, pad, margin, lens))
    return far < deep or bool(_beside(x, y, 0.0, far - deep, slack, box, pad, margin, lens))


@numba.njit(cache=True, error_model="numpy")
def _row_time(
    y: float, z: float, vy: float, vz: float, delay: float, rolling: float, lens: Any
) -> float:
    """Return when the row in which a flake is seen is read, `delay` included, in s.

    The first row is read at 0 and the row below the last at `rolling`. Solves t = delay + rolling
    v(t)/H for a flake on a straight path by Newton's steps; rows beyond the picture have times too.
    """
    per_px = rolling / (2.0 * lens[1])
    time = delay
    for _ in range(4):
        deep = z + vz * time
        place = lens[0] * (y + vy * time) / deep
        speed = (lens[0] * vy - place * vz) / deep
        gap = delay + per_px * (place + lens[1]) - time
        time += gap / max(1.0 - per_px * speed, 0.1)
        time = min(max(time, delay - rolling), delay + 2.0 * rolling)
    return time


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def project_flake(
    x: float, y: float, z: float, vx: float, vy: float, vz: float, diameter: float, when: Any,
    lens: Any, blur: float, rows: Any, count: int,
) -> bool:  # fmt: skip
    """Write the picture of one flake into row `count`; return whether it touches the frame."""
    focal, near, shutter = lens[0], lens[3], when[1]
    if z < near or z + vz * shutter < near:
        return False
    if when[3] > 0.0:
        first = _row_time(y, z, vy, vz, 0.0, when[3], lens)
        shutter = _row_time(y, z, vy, vz, shutter, when[3], lens) - first
        x, y, z = x + vx * first, y + vy * first, z + vz * first
    z_end = z + vz * shutter
    if z < near or z_end < near:
        return False
    u = focal * x / z + lens[2]
    v = focal * y / z + lens[1]
    u_end = focal * (x + vx * shutter) / z_end + lens[2]
    v_end = focal * (y + vy * shutter) / z_end + lens[1]
    radius = 0.5 * focal * diameter / z
    circle = blur * abs(when[2] - 1.0 / z)
    edge = 1.8 * radius + 0.75 * circle + MARGIN_PX
    if max(u, u_end) < lens[5] - edge or min(u, u_end) > lens[7] + edge:
        return False
    if max(v, v_end) < lens[4] - edge or min(v, v_end) > lens[6] + edge:
        return False
    rows[count, U], rows[count, V] = u, v
    rows[count, DU], rows[count, DV] = u_end - u, v_end - v
    rows[count, RADIUS], rows[count, BLUR], rows[count, DEPTH] = radius, circle, z
    return True


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _maybe(
    origin: Any, box: Any, traits: Any, carried: Any, stir: Any, when: Any, lens: Any, blur: float,
    few: Any, here: Any,
) -> int:  # fmt: skip
    """List the flakes that may be seen in `few`, and in `here` where they are without eddies."""
    time, shutter = when[0], when[1]
    wx, wy, wz = carried[0] - carried[1]
    margin, span = MARGIN_PX + blur * when[2], shutter + 2.0 * when[3] + when[4]
    count = 0
    for i in range(origin.shape[0]):
        bx, by, bz = box[i, 0], box[i, 1], box[i, 2]
        fall, off = traits[i, FALL], stir[0] + traits[i, SWING]
        x = _wrap(origin[i, 0] + wx * time, -0.5 * bx, bx)
        y = _wrap(origin[i, 1] + (wy + fall) * time, -0.5 * by, by)
        z = _wrap(origin[i, 2] + wz * time, 0.0, bz)
        loose = stir[1] + 2.0 * math.pi * traits[i, SWING_HZ] * traits[i, SWING]
        way, pad = _way(wx, wy + fall, wz, loose, span), traits[i, DIAMETER] + blur / lens[0]
        slack = (way[0] + off, way[1] + off, way[2] + off)
        if not _surely_unseen(x, y, z, slack, (bx, by, bz), traits[i, REACH], pad, margin, lens):
            few[count] = i
            here[0, count], here[1, count], here[2, count] = x, y, z
            count += 1
    return count


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _way(vx: float, vy: float, vz: float, loose: float, span: float) -> Any:
    """Return how far a flake gets in a span of time at most, along each axis, in m."""
    return (abs(vx) + loose) * span, (abs(vy) + loose) * span, (abs(vz) + loose) * span


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _see(
    i: int, k: int, box: Any, traits: Any, moved: Any, carried: Any, stir: Any, when: Any,
    lens: Any, blur: float, rows: Any, count: int,
) -> bool:  # fmt: skip
    """Write what is seen of flake `i`, if anything, into row `count`; return whether it is.

    Column `k` of `moved` says where the eddies have brought it, and how fast they move it.
    """
    wx, wy, wz = (
        carried[0, 0] - carried[1, 0],
        carried[0, 1] - carried[1, 1],
        carried[0, 2] - carried[1, 2],
    )
    bx, by, bz = box[i, 0], box[i, 1], box[i, 2]
    fall, swing, reach = traits[i, FALL], traits[i, SWING], traits[i, REACH]
    pace = 2.0 * math.pi * traits[i, SWING_HZ] * swing
    turn = traits[i, SWING_HZ] * when[0] + traits[i, PHASE]
    sine, cosine = sine_of_turns(turn), sine_of_turns(turn + 0.25)
    z = _wrap(moved[2, k] + swing * cosine, 0.0, bz)
    if z >= reach and when[4] == 0.0:
        return False
    x = _wrap(moved[0, k] + swing * sine, -0.5 * bx, bx)
    y = _wrap(moved[1, k], -0.5 * by, by)
    rows[count, ID] = i
    if when[4] > 0.0:
        way = _way(wx, wy + fall, wz, stir[1] + pace, when[1] + 2.0 * when[3] + when[4])
        pad, margin = traits[i, DIAMETER] + blur / lens[0], MARGIN_PX + blur * when[2]
        return not _surely_unseen(x, y, z, way, (bx, by, bz), reach, pad, margin, lens)
    vx, vz = moved[3, k] + wx + pace * cosine, moved[5, k] + wz - pace * sine
    vy = moved[4, k] + wy + fall
    rows[count, GAIN], rows[count, TURN] = traits[i, OWN_GAIN], traits[i, PHASE]
    seen: bool = project_flake(
        x, y, z, vx, vy, vz, traits[i, DIAMETER], when, lens, blur, rows, count
    )
    return seen


@numba.njit(
    "i8(f8[:,::1],f8[:,::1],f8[:,::1],f8[:,::1],f8[:,::1],f8[::1],f8[::1],f8[::1],f8,f8[:,::1])",
    cache=True,
    error_model="numpy",
)
def _fly(
    origin: Any, box: Any, traits: Any, waves: Any, carried: Any, stir: Any, when: Any,
    lens: Any, blur: float, rows: Any,
) -> int:  # fmt: skip
    """Write what is seen into `rows`; or, over a span of time, the numbers of what may be."""
    few, here = np.empty(len(origin), np.int64), np.empty((3, len(origin)))
    most = _maybe(origin, box, traits, carried, stir, when, lens, blur, few, here)
    begun, moved = np.zeros((4, BLOCK)), np.empty((6, BLOCK))
    count = 0
    for start in range(0, most, BLOCK):
        block = few[start : min(start + BLOCK, most)]
        for k, i in enumerate(block):
            begun[0, k], begun[1, k], begun[2, k] = origin[i, 0], origin[i, 1], origin[i, 2]
            begun[3, k] = traits[i, FALL]
        stir_block(begun, when[0], waves, carried[0], moved)
        moved[:3, : len(block)] += here[:, start : start + len(block)]
        for k, i in enumerate(block):
            count += _see(i, k, box, traits, moved, carried, stir, when, lens, blur, rows, count)
    return count
