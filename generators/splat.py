"""Draw flakes as the camera sees them: discs, blurred and smeared by their own motion.

The exact picture is the outline folded with the circle of confusion, the lens's blur, the pixel and
the path during the exposure. The round part of that is drawn as a disc and a dome, mixed by
how much of the spread is flake and how much blur; the path is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.flight import BLUR, DEPTH, DU, DV, GAIN, RADIUS, TURN, U, V

PIXEL_VARIANCE = 1 / 12
OUTLINE_FROM_PX, OUTLINE_FULL_PX = 1.8, 6.0
"""Flakes of smaller radius are round: pixels hide their outline, which comes by and by."""
OUTLINE_REACH = 1.25
"""Outlines stretch so far beyond the disc of equal area."""


def splat(
    rows: NDArray[np.float64],
    depth: NDArray[np.uint16],
    transmission: NDArray[np.uint16],
    outlines: NDArray[np.float32],
    far_m: float,
    psf_sigma_px: float,
    opacity: float,
    C: NDArray[np.float32],
    P: NDArray[np.float32],
    corner: tuple[int, int] = (0, 0),
) -> None:
    """Draw a list of flakes, far ones first, over the planes C and P, float32 [H, W], in place.

    C is what the flakes let through, P their radiance relative to the air, times coverage. Nothing
    is drawn where the scene is nearer than the flake: `depth` is in steps of far/65535, and so is
    the table `transmission`, by which a flake fades into the air. Coverage is the time average of
    a moving disc: its sum over the picture is the flake's area in pixels, whatever its blur or
    motion. The planes may be a part of the picture, whose first row and column `corner` gives.
    """
    scale = 65535.0 / far_m
    flat = C.reshape(-1), P.reshape(-1)
    _splat(rows, depth, transmission, outlines, scale, psf_sigma_px**2, opacity, *corner, *flat)


X, Y, COS, SIN, PATH, DISC2, DOME2, DISC, DOME, EDGE, AREA, SHOWN = range(12)
"""Geometry of one flake: start, direction and length of its path, squared radii and weights of disc
and dome, reach from the path, area, and how far it shows its outline, from 0 to 1."""


@numba.njit(cache=True, error_model="numpy")
def _trace(rows: Any, i: int, psf2: float, opacity: float, shape: Any) -> None:
    """Write the geometry of flake `i`."""
    du, dv, radius = rows[i, DU], rows[i, DV], rows[i, RADIUS]
    run = math.sqrt(du * du + dv * dv)
    shape[COS], shape[SIN] = (du / run, dv / run) if run > 1e-9 else (1.0, 0.0)
    path = max(run, 1.0)  # the pixel smears a resting flake too
    shift = 0.5 * (run - path)
    shape[X], shape[Y] = rows[i, U] + shift * shape[COS], rows[i, V] + shift * shape[SIN]
    shown = min(max((radius - OUTLINE_FROM_PX) / (OUTLINE_FULL_PX - OUTLINE_FROM_PX), 0.0), 1.0)
    shown *= min(max(2.0 - path / radius, 0.0), 1.0)  # motion wipes it out
    shown *= min(max(2.0 - rows[i, BLUR] / radius, 0.0), 1.0)  # and so does blur
    shape[SHOWN], shape[AREA] = shown, math.pi * radius**2
    radius *= 1.0 + (OUTLINE_REACH - 1.0) * shown
    flake, circle = 0.25 * radius**2, 0.0625 * rows[i, BLUR] ** 2
    variance = flake + circle + psf2 + PIXEL_VARIANCE
    # A flake thins out towards its rim as far as its middle need not hide more than everything.
    # Its circle of confusion is a disc.
    flat = min(max(3.0 - 2.0 / opacity, 0.0), 1.0)
    sharp = (flat * flake + circle) / variance
    sharp = sharp if sharp > 0.05 else 0.0
    shape[PATH], shape[DISC2] = path, 4.0 * variance
    # The dome of the same spread; of a Gaussian, the dome nearest to it in the least squares.
    shape[DOME2] = 8.0 * (flake + circle) + 6.7 * (psf2 + PIXEL_VARIANCE)
    shape[EDGE] = math.sqrt(shape[DOME2])
    weight = radius**2 / path
    shape[DISC] = weight * sharp / shape[DISC2]
    shape[DOME] = weight * (1.0 - sharp) * 3.0 / shape[DOME2] ** 3


@numba.njit(cache=True, error_model="numpy")
def _frame(shape: Any, box: Any) -> int:
    """Write the first and the last row of a flake, the last excluded; return a bound on its pixels.

    The bound counts the pixels of its box.
    """
    run, fall, edge = shape[PATH] * shape[COS], shape[PATH] * shape[SIN], shape[EDGE]
    box[0] = math.floor(shape[X] + min(run, 0.0) - edge)
    box[1] = math.floor(shape[Y] + min(fall, 0.0) - edge)
    box[2] = math.ceil(shape[X] + max(run, 0.0) + edge)
    box[3] = math.ceil(shape[Y] + max(fall, 0.0) + edge)
    size: int = (box[2] - box[0]) * (box[3] - box[1])
    return size


@numba.njit(cache=True, error_model="numpy")
def _reach(shape: Any, dy: float, box: Any, over_cos: float, over_sin: float) -> Any:
    """Return between which columns of a box a streak can cover a row `dy` below its start.

    The streak is a band of half width `EDGE` round its path, cut off as far beyond either end. The
    inverses of its cosine and sine are given, for a division takes long.
    """
    cos, sin, edge = shape[COS], shape[SIN], shape[EDGE]
    first, last = box[0] + 0.5 - shape[X], box[2] - 0.5 - shape[X]
    if abs(sin) > 1e-6:  # |dy cos - dx sin| < edge
        middle, half = dy * cos * over_sin, edge * abs(over_sin)
        first, last = max(first, middle - half), min(last, middle + half)
    if abs(cos) > 1e-6:  # -edge < dx cos + dy sin < path + edge
        one, other = (-edge - dy * sin) * over_cos, (shape[PATH] + edge - dy * sin) * over_cos
        first, last = max(first, min(one, other)), min(last, max(one, other))
    left = int(np.ceil(first + shape[X] - 0.5))
    return left, max(left, int(np.floor(last + shape[X] - 0.5)) + 1)


@numba.njit(cache=True, error_model="numpy")
def _pixels(
    shape: Any, box: Any, step: int, depth: Any, top: int, start: int, along: Any, aside: Any,
    place: Any,
) -> Any:  # fmt: skip
    """List the pixels of a flake: where they lie along and beside its path, and in the planes.

    `place` is -1 outside the planes, which begin at row `top` and column `start`, and where the
    scene is nearer. Return how many pixels there are, and whether the flake is seen in any of them.
    """
    cos, sin = shape[COS], shape[SIN]
    height, width = depth.shape
    k, seen = 0, False
    for y in range(box[1], box[3]):
        dy, row = y + 0.5 - shape[Y], y - top
        left, right = _reach(shape, dy, box, 1.0 / cos, 1.0 / sin)
        for x in range(left, right):
            dx = x + 0.5 - shape[X]
            along[k], aside[k] = dx * cos + dy * sin, dy * cos - dx * sin
            place[k], column = -1, x - start
            if 0 <= row < height and 0 <= column < width and depth[row, column] >= step:
                place[k] = row * width + column
                seen = True
            k += 1
    return k, seen


@numba.njit(cache=True, error_model="numpy")
def _area(s: Any, half2: Any) -> Any:
    """Return the integral of (half² - s²)² from 0 to s."""
    s2 = s * s
    return s * (half2 * half2 - s2 * (half2 * np.float32(2 / 3) - s2 * np.float32(0.2)))


@numba.njit(cache=True, error_model="numpy")
def _cover(shape: Any, along: Any, aside: Any, share: Any) -> None:
    """Write the share of the exposure for which a flake covers each pixel of its list.

    A disc of radius R over a path that passes the point at a distance d covers it while its centre
    is within h = sqrt(R² - d²) of the nearest place; the dome 3 (1 - (distance/R)²)² likewise.
    There is no branch, so that the loop is vectorised.
    """
    zero, path = np.float32(0), np.float32(shape[PATH])
    disc2, dome2 = np.float32(shape[DISC2]), np.float32(shape[DOME2])
    disc, dome = np.float32(shape[DISC]), np.float32(shape[DOME])
    for k in range(len(share)):
        s, aside2 = along[k], aside[k] * aside[k]
        half2 = max(dome2 - aside2, zero)
        half = np.sqrt(half2)
        first = max(s - half, zero)
        last = max(min(s + half, path), first)
        arc = np.sqrt(max(disc2 - aside2, zero))
        chord = max(min(s + arc, path) - max(s - arc, zero), zero)
        share[k] = dome * (_area(s - first, half2) - _area(s - last, half2)) + disc * chord


@numba.njit(cache=True, error_model="numpy")
def _outline(along: float, aside: float, scale: float, outline: Any) -> float:
    """Return the flake's outline, laid over its middle, at a place."""
    side = outline.shape[0] - 1
    column = min(max(along * scale + 0.5, 0.0), 0.999) * side
    row = min(max(aside * scale + 0.5, 0.0), 0.999) * side
    j, i = int(column), int(row)
    right, down = column - j, row - i
    upper = (1.0 - right) * outline[i, j] + right * outline[i, j + 1]
    lower = (1.0 - right) * outline[i + 1, j] + right * outline[i + 1, j + 1]
    shade: float = (1.0 - down) * upper + down * lower
    return shade


@numba.njit(cache=True, error_model="numpy")
def _shape_out(shape: Any, outline: Any, along: Any, aside: Any, share: Any) -> None:
    """Let a flake that is large and sharp enough show its outline."""
    scale, half, shown = 0.5 / math.sqrt(shape[DISC2]), 0.5 * shape[PATH], shape[SHOWN]
    for k in range(len(share)):
        if share[k] > 0.0:
            outer = 1.0 - _outline(along[k] - half, aside[k], scale, outline)
            share[k] *= 1.0 - shown * outer


@numba.njit(cache=True, error_model="numpy")
def _mix(share: Any, place: Any, norm: float, light: float, C: Any, P: Any) -> None:
    """Mix a flake into the planes, given flat, where it is seen."""
    for k in range(len(share)):
        if place[k] >= 0 and share[k] > 0.0:
            alpha = min(1.0, norm * share[k])
            C[place[k]] = C[place[k]] * (1.0 - alpha)
            P[place[k]] = P[place[k]] * (1.0 - alpha) + alpha * light


@numba.njit(
    "void(f8[:,::1], u2[:,::1], u2[::1], f4[:,:,::1], f8, f8, f8, i8, i8, f4[::1], f4[::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _splat(
    rows: Any, depth: Any, transmission: Any, outlines: Any, scale: float, psf2: float,
    opacity: float, top: int, start: int, C: Any, P: Any,
) -> None:  # fmt: skip
    shape, box = np.empty(12), np.empty(4, np.int64)
    lists, place = np.empty((3, 4096), np.float32), np.empty(4096, np.int64)
    for i in range(rows.shape[0]):
        step = int(rows[i, DEPTH] * scale + 0.5)
        if step > 65535:
            continue  # behind all that the scene holds
        _trace(rows, i, psf2, opacity, shape)
        most = _frame(shape, box)
        if most > place.shape[0]:
            lists, place = np.empty((3, 2 * most), np.float32), np.empty(2 * most, np.int64)
        count, seen = _pixels(shape, box, step, depth, top, start, lists[0], lists[1], place)
        if not seen:
            continue
        along, aside, share = lists[0, :count], lists[1, :count], lists[2, :count]
        _cover(shape, along, aside, share)
        if shape[SHOWN] > 0.0:
            _shape_out(shape, outlines[int(rows[i, TURN] * len(outlines))], along, aside, share)
        total = 0.0
        for k in range(count):
            total += share[k]
        norm = opacity * shape[AREA] / max(total, 1e-12)
        light = 1.0 + (rows[i, GAIN] - 1.0) * transmission[step] / 65535.0
        _mix(share, place[:count], norm, light, C, P)
