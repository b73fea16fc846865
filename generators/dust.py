"""Draw as grain the flakes that are too small to be drawn one by one, yet make the air rough.

Flakes between two areas in the picture lie in shells of depth. A shell is a tile that repeats,
filled once per clip with a Poisson number of flakes of their true sizes and depths, blurred by lens
and exposure; so its mean and its variance are those of the flakes (Campbell's theorem). A frame
looks the tile up where wind and camera have carried it.

If flakes come nearer, each shell holds three sheets that fly through it, one third of its depth
apart, and are brightest half way. Hann weights make mean and variance of their sum constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.haze import LEVELS, veil_depth
from rvsd_bench.generators.passage import Passage, passage
from rvsd_bench.generators.path import CameraPath
from rvsd_bench.generators.population import View
from rvsd_bench.generators.scene import Camera
from rvsd_bench.generators.size_law import SizeLaw
from rvsd_bench.generators.tiles import blur, scatter
from rvsd_bench.seeds import stream

SHELLS = 5
TILE_PX, GRID = 512, 2
"""A tile repeats after so many pixels, and is sampled so many times per pixel."""
SHEETS, TAPS = 3, 3
"""Where flakes come nearer: sheets per shell, and moments of the exposure they are seen at, fewer
where that keeps them `TAP_PX` apart, two thirds of the way to the corners."""
TAP_PX, TAPS_AT = 2.0, 2 / 3
STEP = 16
"""Steps of the depth table per entry of a shell's share."""
PIECE_PX = 640
"""So many pixels of a row are drawn at once."""
SLOWEST_APPROACH_M_PER_S = 0.5
UNIT = 8192
"""Weights of sheets are whole numbers of its inverse: all of them at once stay below 2 ** 31."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Dust:
    """The shells of one clip, near ones first."""

    tiles: NDArray[np.uint16]
    """[S, 1024, 1024] optical depth in steps of 1/65535."""
    share: NDArray[np.float32]
    """[S, 4096] how much of a shell lies before a depth, in coarse steps of the depth table."""
    depth_m: NDArray[np.float64]
    """[S] depth at which a tile has its own scale."""
    range_m: NDArray[np.float64]
    """[S, 2] between which depths its sheets fly."""
    velocity_m_per_s: NDArray[np.float64]
    """[S, 3] relative to the camera; the third is 0 where shells keep their depth."""
    shutter_s: float
    focal_px: float
    taps: NDArray[np.int64]
    """[S] at how many moments of the exposure a shell is seen; all are if there is a `passage`."""
    passage: Passage | None = None
    """What goes by a camera that follows a path; then the velocity is a mean."""

    def draw(
        self,
        time_s: float,
        depth: NDArray[np.uint16],
        light: NDArray[np.float32],
        C: NDArray[np.float32],
        P: NDArray[np.float32],
        middle: tuple[float, float] | None = None,
    ) -> None:
        """Draw the grain at a time over the planes C and P, float32 [H, W], in place.

        `depth` is in steps of far/65535; `light` [S] is the radiance of the shells over the air's.
        Of a part of a picture, `middle` says where the whole has its middle: row and column.
        """
        height, width = depth.shape
        down, across = (height / 2, width / 2) if middle is None else middle
        x, y = np.arange(width) + 0.5 - across, np.arange(height) + 0.5 - down
        if self.passage is None:
            sheet_m, weight, shift = self._sheets(time_s)
            columns = self._places(time_s, 0, x, sheet_m, shift)
            rows = self._places(time_s, 1, y, sheet_m, shift)
        else:
            columns, rows, weight = self._on_path(self.passage, time_s, x, y)
        taps = np.minimum(self.taps, columns.shape[2])
        _draw(self.tiles, self.share, columns, rows, weight, taps, depth, light, C, P)

    def _sheets(self, time_s: float) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return depth in metres, weight and shift of the sheets of each shell, each [S, K]."""
        speed = self.velocity_m_per_s[:, 2:]
        if not speed.any():
            return self.depth_m[:, None], np.ones_like(speed, np.float32), np.zeros_like(speed)
        near, far = self.range_m[:, :1], self.range_m[:, 1:]
        first = np.arange(SHEETS) / SHEETS + _GOLDEN * np.arange(len(near))[:, None]
        turn = first - speed * time_s / (far - near)
        depth = far - (turn - np.floor(turn)) * (far - near)
        weight = np.sin(np.pi * turn) ** 2 / self.taps[:, None]
        shift = TILE_PX * (_GOLDEN * (SHEETS * np.floor(turn) + np.arange(SHEETS)) % 1)
        return depth, weight.astype(np.float32), shift

    def _places(
        self,
        time_s: float,
        axis: int,
        centred: NDArray[np.float64],
        sheet_m: NDArray[np.float64],
        shift: NDArray[np.float64],
    ) -> NDArray[np.uint16]:
        """Return where in their tile the pixels along one axis lie, [S, K, taps, length].

        `centred` counts the pixels from the middle of the picture. Taps follow a sheet through the
        exposure.
        """
        speed = self.velocity_m_per_s[:, 2][:, None, None]
        steps = np.arange(self.taps.max()) + 0.5
        flown = steps / self.taps[:, None, None] if speed.any() else np.zeros(1)
        moment = flown * self.shutter_s
        own = self.depth_m[:, None, None]
        scale = (sheet_m[..., None] + speed * moment) / own
        drift = self.focal_px / own * self.velocity_m_per_s[:, axis][:, None, None]
        start = (axis + 1) * shift[..., None] - drift * (time_s + moment)
        place = GRID * (centred * scale[..., None] + start[..., None])
        return (np.floor(place).astype(np.int64) % (GRID * TILE_PX)).astype(np.uint16)

    def _on_path(
        self, passage: Passage, time_s: float, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]:
        """Return columns, rows and weights of the sheets for a camera on a path.

        A sheet's depth is a constant of its flight plus the way; so is what a turn has swept of it.
        """
        shells, flying = len(self.depth_m), bool(self.velocity_m_per_s[:, 2].any())
        taps = TAPS if flying else SHEETS * TAPS
        moments = time_s + np.append(0.0, (np.arange(taps) + 0.5) / taps * self.shutter_s)
        way, turn, swept = passage.at(moments)
        now, way, turn, swept = way[0, :, 2:], way[1:], turn[1:], swept[1:]
        base: NDArray[Any] = self.depth_m[:, None]
        shift: NDArray[Any] = np.zeros((shells, 1))
        weight = np.full((shells, 1), 1 / taps, np.float32)
        if flying:
            near, far = self.range_m[:, :1], self.range_m[:, 1:]
            first = np.arange(SHEETS) / SHEETS + _GOLDEN * np.arange(shells)[:, None]
            flown = first - now / (far - near)
            base = far - (flown - np.floor(flown)) * (far - near) - now
            weight = (np.sin(np.pi * flown) ** 2 / taps).astype(np.float32)
            shift = TILE_PX * (_GOLDEN * (SHEETS * np.floor(flown) + np.arange(SHEETS)) % 1)
        ahead = (way[:, :, 2].T if flying else np.zeros((shells, taps)))[:, None]
        scale = (base[..., None] + ahead) / self.depth_m[:, None, None]
        places = []
        for axis, centred in enumerate((x, y)):
            moved = way[:, :, axis].T[:, None] + base[..., None] * turn[:, axis]
            if flying:
                moved = moved + swept[:, :, axis].T[:, None]
            start = (axis + 1) * shift[..., None] - self.focal_px / self.depth_m[
                :, None, None
            ] * moved
            place = GRID * (centred * scale[..., None] + start[..., None])
            places.append((np.floor(place).astype(np.int64) % (GRID * TILE_PX)).astype(np.uint16))
        return places[0], places[1], weight


@dataclass(frozen=True, eq=False)
class _Shell:
    """The flakes of each class of a size law between two depths, one pair per class."""

    law: SizeLaw
    from_m: NDArray[np.float64]
    to_m: NDArray[np.float64]

    @property
    def optical_depth(self) -> NDArray[np.float64]:
        return self.law.cross_section_per_m * (self.to_m - self.from_m)

    def mean(self, values: NDArray[np.float64]) -> float:
        """Return the mean of some values per class, each weighted by what the class hides."""
        weights = self.optical_depth
        return float(values @ weights / weights.sum()) if weights.any() else float(values.mean())

    def depth_m(self) -> float:
        """Return the depth whose inverse is the mean of the inverse: it moves as the mean moves."""
        span = np.maximum(self.to_m - self.from_m, 1e-9)
        inverse = np.log(np.maximum(self.to_m, 1e-9) / np.maximum(self.from_m, 1e-9)) / span
        return 1 / max(self.mean(np.maximum(inverse, 1e-9)), 1e-9)


def fill_shells(
    law: SizeLaw,
    view: View,
    camera: Camera,
    areas_px2: tuple[float, float],
    drift_m_per_s: tuple[float, float, float],
    key: tuple[int | str, ...],
    path: tuple[CameraPath, tuple[float, float, float]] | None = None,
) -> Dust:
    """Fill the shells with the flakes whose sharp discs cover from the second area to the first.

    `drift_m_per_s` is the wind relative to the camera; flakes fall besides. It is a mean if the
    camera follows a `path`, which comes with the wind.
    """
    shells, share, range_m = _divide(law, view, areas_px2)
    velocity = np.tile(np.array(drift_m_per_s, np.float64), (SHELLS, 1))
    fall = np.array([shell.mean(law.speed_m_per_s) for shell in shells])
    velocity[:, 1] += fall
    passing = None if path is None else passage(*path, fall)
    approach = abs(velocity[0, 2]) if passing is None else passing.approaches_m_per_s
    if approach < SLOWEST_APPROACH_M_PER_S:
        velocity[:, 2] = 0.0
    elif passing is not None:
        velocity[:, 2] = approach  # that there is one is what counts
    depth_m = np.array([shell.depth_m() for shell in shells])
    streaks = camera.shutter_s * view.focal_px * velocity[:, :2] / depth_m[:, None]
    if passing is not None:
        streaks[:] = 0.0  # it changes with time: the taps draw it
    tiles = [
        _tile(shell, view.focal_px, camera.psf_sigma_px, streak, bool(velocity[0, 2]), (*key, i))
        for i, (shell, streak) in enumerate(zip(shells, streaks, strict=True))
    ]
    taps = np.full(SHELLS, TAPS * SHEETS)
    if passing is None:
        taps = _taps(velocity, depth_m, view, camera.shutter_s)
    return Dust(
        np.stack(tiles),
        share,
        depth_m,
        range_m,
        velocity,
        camera.shutter_s,
        view.focal_px,
        taps,
        passing,
    )


def _divide(
    law: SizeLaw, view: View, areas_px2: tuple[float, float]
) -> tuple[list[_Shell], NDArray[np.float32], NDArray[np.float64]]:
    """Divide the depth into shells; return them, the `share` and the `range_m` of their `Dust`."""
    first, last = (view.reach_m(law.diameter_m, area) for area in areas_px2)
    steps = (np.arange(LEVELS // STEP) + 0.5) * STEP * view.far_m / (LEVELS - 1)
    sums = veil_depth(law, first, steps) - veil_depth(law, last, steps)
    low, high = np.interp([0.005 * sums[-1], 0.98 * sums[-1]], sums, steps)
    edges = np.array([0.0, *np.geomspace(low, high, SHELLS + 1)[1:-1], view.far_m])
    shells = [_Shell(law, np.clip(first, a, b), np.clip(last, a, b)) for a, b in pairwise(edges)]
    bounds = np.interp(edges, steps, sums)
    parts = np.maximum(np.diff(bounds), 1e-12)
    share = np.clip((sums - bounds[:-1, None]) / parts[:, None], 0, 1)
    inner = np.stack([bounds[:-1] + 0.05 * parts, bounds[1:] - 0.05 * parts], axis=1)
    return shells, share.astype(np.float32), np.interp(inner, sums, steps)


def _taps(
    velocity: NDArray[np.float64], depth_m: NDArray[np.float64], view: View, shutter_s: float
) -> NDArray[np.int64]:
    """Return at how many moments of the exposure each shell is seen: by what it sweeps in it."""
    aside = TAPS_AT * math.hypot(*view.size) / 2 / view.focal_px
    swept = np.hypot(*velocity[:, :2].T) + np.abs(velocity[:, 2]) * aside
    streak_px = shutter_s * view.focal_px * swept / depth_m
    taps: NDArray[np.int64] = np.clip(np.ceil(streak_px / TAP_PX), 1, TAPS).astype(np.int64)
    return taps


def _tile(
    shell: _Shell,
    focal_px: float,
    psf_sigma_px: float,
    streak_px: NDArray[np.float64],
    sheets: bool,
    key: tuple[int | str, ...],
) -> NDArray[np.uint16]:
    """Return one shell's flakes as optical depth in steps of 1/65535, uint16 [1024, 1024].

    A shell of sheets holds half as many flakes, 4/3 as large: the sum of the sheets with their Hann
    weights, 3/2, and that of the squares, 9/8, then give back mean and variance.
    """
    draw = stream(*key, "dust")
    per_px2 = shell.law.number_per_m3 * (shell.to_m**3 - shell.from_m**3) / (3 * focal_px**2)
    fewer, larger = (0.5, 4 / 3) if sheets else (1.0, 1.0)
    count = _poisson(draw.random(), float(per_px2.sum()) * TILE_PX**2 * fewer)
    law, side = shell.law, GRID * TILE_PX
    hides = law.opacity * larger * np.pi / 4 * (law.diameter_m * focal_px * GRID) ** 2
    grid = np.zeros((side, side))
    if count:
        upto = np.cumsum(per_px2) / per_px2.sum()
        scatter(draw.random((count, 4)), upto, shell.from_m**3, shell.to_m**3, hides, grid)
    blurred = blur(grid, 1 / GRID, psf_sigma_px, np.zeros(2) if sheets else streak_px)
    return np.rint(np.clip(blurred, 0, 1, out=blurred) * 65535).astype(np.uint16)


def _poisson(quantile: float, mean: float) -> int:
    from scipy.special import pdtrik

    return max(0, math.ceil(pdtrik(quantile, mean))) if mean > 0 else 0


@numba.njit(cache=True, error_model="numpy")
def _look_up(tile: Any, rows: Any, columns: Any, at: int, part: Any, sums: Any) -> None:
    """Write to `sums` what the sheets of a shell show from pixel `at` on, by their shares `part`.

    `rows` [sheets, taps] and `columns` [sheets, taps, W] say where the pixels lie in the tile.
    Three sheets are looked at at once, to store the sums less often; whole numbers are quicker.
    """
    n = len(sums)
    sums[:] = 0
    for tap in range(rows.shape[1]):
        if len(rows) == 1:
            only, where = tile[rows[0, tap]], columns[0, tap, at : at + n]
            for x in range(n):
                sums[x] += np.int32(np.int32(only[where[x]]) * part[0])
        else:
            first, second, third = tile[rows[0, tap]], tile[rows[1, tap]], tile[rows[2, tap]]
            one, two = columns[0, tap, at : at + n], columns[1, tap, at : at + n]
            three, a, b, c = columns[2, tap, at : at + n], part[0], part[1], part[2]
            for x in range(n):
                level = np.int32(np.int32(first[one[x]]) * a)
                level = np.int32(level + np.int32(np.int32(second[two[x]]) * b))
                sums[x] += np.int32(level + np.int32(np.int32(third[three[x]]) * c))


@numba.njit(cache=True, error_model="numpy")
def _range(depth: Any) -> Any:
    """Return the least and the largest depth of a row of pixels."""
    low, high = np.uint16(65535), np.uint16(0)
    for x in range(len(depth)):
        low, high = min(low, depth[x]), max(high, depth[x])
    return low // STEP, high // STEP


@numba.njit(cache=True, error_model="numpy")
def _cover(
    sums: Any, share: Any, depth: Any, whole: bool, light: Any, hidden: Any, C: Any, P: Any
) -> None:
    """Draw a row of one shell over the planes; `whole` if it lies before all pixels entirely."""
    one, unit = np.float32(1.0), np.float32(1 / (65535 * UNIT))
    for x in range(len(sums)):
        hidden[x] = np.float32(sums[x]) * unit
    if not whole:
        for x in range(len(sums)):
            hidden[x] *= share[depth[x] // STEP]
    for x in range(len(sums)):
        alpha = min(hidden[x], one)
        C[x] = C[x] * (one - alpha)
        P[x] = P[x] * (one - alpha) + alpha * light


@numba.njit(
    "void(u2[:,:,::1], f4[:,::1], u2[:,:,:,::1], u2[:,:,:,::1], f4[:,::1], i8[::1], u2[:,::1],"
    "f4[::1], f4[:,::1], f4[:,::1])",
    cache=True,
    error_model="numpy",
)
def _draw(
    tiles: Any, share: Any, columns: Any, rows: Any, weight: Any, taps: Any, depth: Any,
    light: Any, C: Any, P: Any,
) -> None:  # fmt: skip
    """Draw piece by piece of each row, so that the pieces of all arrays stay near the processor."""
    buffer, hidden = np.empty(PIECE_PX, np.int32), np.empty(PIECE_PX, np.float32)
    part, (height, width) = np.rint(UNIT * weight).astype(np.int32), depth.shape
    for y in range(height):
        for at in range(0, width, PIECE_PX):
            end = min(at + PIECE_PX, width)
            sums, deep = buffer[: end - at], depth[y, at:end]
            low, high = _range(deep)
            for s in range(len(tiles) - 1, -1, -1):  # far ones first
                if share[s, high] == 0.0:
                    continue  # all that is seen here is nearer than the shell
                n = taps[s]
                _look_up(tiles[s], rows[s, :, :n, y], columns[s, :, :n], at, part[s], sums)
                whole, c, p = share[s, low] == 1.0, C[y, at:end], P[y, at:end]
                _cover(sums, share[s], deep, whole, light[s], hidden, c, p)
