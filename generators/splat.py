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
LANES = 8
"""So many pixels of a row are computed at once: most flakes are no wider."""
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

    The bound counts the pixels of its box, and those that make its rows whole lanes.
    """
    run, fall, edge = shape[PATH] * shape[COS], shape[PATH] * shape[SIN], shape[EDGE]
    box[0] = math.floor(shape[X] + min(run, 0.0) - edge)
    box[1] = math.floor(shape[Y] + min(fall, 0.0) - edge)
    box[2] = math.ceil(shape[X] + max(run, 0.0) + edge)
    box[3] = math.ceil(shape[Y] + max(fall, 0.0) + edge)
    size: int = (box[2] - box[0] + LANES) * (box[3] - box[1])
    return size


@numba.njit(cache=True, error_model="numpy")
def _reach(shape: Any, dy: float, box: Any, over_cos: float, over_sin: float) -> Any:
    """Return between which columns of a box a streak can cover a row `dy` below its start.

    The streak is a band of half width `EDGE` round its path, cut off as far beyond either end. The
    inverses of its cosine and sine are given, for a division takes long.
    """
    cos, sin, edge = shape[COS], shape[SIN], shape[EDGE]
    first, last = -np.inf, np.inf
    if abs(sin) > 1e-6:  # |dy cos - dx sin| < edge
        middle, half = dy * cos * over_sin, edge * abs(over_sin)
        first, last = max(first, middle - half), min(last, middle + half)
    if abs(cos) > 1e-6:  # -edge < dx cos + dy sin < path + edge
        one, other = (-edge - dy * sin) * over_cos, (shape[PATH] + edge - dy * sin) * over_cos
        first, last = max(first, min(one, other)), min(last, max(one, other))
    # What is rounded must not reach the box: its own columns are exact.
    left = int(np.ceil(max(first + shape[X] - 0.5, float(box[0]))))
    right = int(np.floor(min(last + shape[X] - 0.5, box[2] - 1.0))) + 1
    return left, max(left, right)


@numba.njit(cache=True, error_model="numpy")
def _area(s: Any, half2: Any) -> Any:
    """Return the integral of (half² - s²)² from 0 to s."""
    s2 = s * s
    return s * (half2 * half2 - s2 * (half2 * np.float32(2 / 3) - s2 * np.float32(0.2)))


@numba.njit(cache=True, error_model="numpy")
def _cover(shape: Any, along: Any, aside: Any, share: Any) -> None:
    """Write the share of the exposure for which a flake covers each of some pixels of a row.

    `along` and `aside` say where the first lies, counted along the path and beside it. A disc of
    radius R over a path that passes a point at a distance d covers it while its centre is within
    h = sqrt(R² - d²) of the nearest place; the dome 3 (1 - (distance/R)²)² likewise. So many pixels
    at once, and no branch, make vectors of them.
    """
    zero, path = np.float32(0), np.float32(shape[PATH])
    cos, sin = np.float32(shape[COS]), np.float32(shape[SIN])
    disc2, dome2 = np.float32(shape[DISC2]), np.float32(shape[DOME2])
    disc, dome = np.float32(shape[DISC]), np.float32(shape[DOME])
    begin, off = np.float32(along), np.float32(aside)
    for k in range(LANES):
        s, d = begin + cos * np.float32(k), off - sin * np.float32(k)
        aside2 = d * d
        half2 = max(dome2 - aside2, zero)
        half = np.sqrt(half2)
        first = max(s - half, zero)
        last = max(min(s + half, path), first)
        arc = np.sqrt(max(disc2 - aside2, zero))
        chord = max(min(s + arc, path) - max(s - arc, zero), zero)
        share[k] = dome * (_area(s - first, half2) - _area(s - last, half2)) + disc * chord


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _rows(shape: Any, box: Any, share: Any, spans: Any) -> int:
    """Write the coverage of a flake's pixels into a list, row by row; return the list's length.

    `spans` [rows, 3] gets each row's first and last column, the last excluded, and where it begins:
    rows are made of whole lanes. Few flakes are wider than one, and worth a look at their edges.
    """
    cos, sin, at = shape[COS], shape[SIN], 0
    over_cos, over_sin = 1.0 / cos, 1.0 / sin
    left, right = box[0], box[2]
    for row in range(len(spans)):
        dy = box[1] + row + 0.5 - shape[Y]
        if box[2] - box[0] > LANES:
            left, right = _reach(shape, dy, box, over_cos, over_sin)
        spans[row, 0], spans[row, 2] = left, at
        for x in range(left, right, LANES):
            dx = x + 0.5 - shape[X]
            along, aside = dx * cos + dy * sin, dy * cos - dx * sin
            _cover(shape, along, aside, share[at : at + LANES])
            at += LANES
        spans[row, 1] = left + at - spans[row, 2]
    return at


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
def _shape_out(shape: Any, outline: Any, top: int, share: Any, spans: Any) -> None:
    """Let a flake that is large and sharp enough show its outline; its first row is `top`."""
    scale, half, shown = 0.5 / math.sqrt(shape[DISC2]), 0.5 * shape[PATH], shape[SHOWN]
    cos, sin = shape[COS], shape[SIN]
    for row in range(len(spans)):
        dy, (left, right, at) = top + row + 0.5 - shape[Y], spans[row]
        for x in range(left, right):
            dx = x + 0.5 - shape[X]
            along, aside = dx * cos + dy * sin - half, dy * cos - dx * sin
            outer = 1.0 - _outline(along, aside, scale, outline)
            share[at + x - left] *= 1.0 - shown * outer


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _total(share: Any, lanes: Any) -> float:
    """Return the sum of a list of whole lanes."""
    lanes[:] = 0.0
    for at in range(np.uint64(0), np.uint64(len(share)), np.uint64(LANES)):
        for k in range(np.uint64(LANES)):
            lanes[k] += share[at + k]
    total: float = lanes.sum()
    return total


@numba.njit(inline="always", cache=True, error_model="numpy")
def _mix(
    share: Any, at: int, begin: int, count: int, step: int, norm: Any, light: Any, depth: Any,
    C: Any, P: Any,
) -> None:  # fmt: skip
    """Mix pixels of a flake into the planes, where it is seen, from entry `begin` on.

    Unsigned numbers spare a look at whether an index counts from the end.
    """
    one, first, source = np.float32(1.0), np.uint64(begin), np.uint64(at)
    for k in range(np.uint64(count)):
        if depth[first + k] < step:
            continue
        alpha = min(one, norm * share[source + k])
        C[first + k] = C[first + k] * (one - alpha)
        P[first + k] = P[first + k] * (one - alpha) + alpha * light


@numba.njit(forceinline=True, cache=True, error_model="numpy")
def _mix_rows(
    share: Any, spans: Any, place: Any, step: Any, norm: Any, light: Any, depth: Any, C: Any,
    P: Any,
) -> None:  # fmt: skip
    """Mix a flake into planes, given flat; `place` says where.

    It holds the flake's first row in the planes, their first column, height and width.
    """
    top, start, height, width = place
    for y in range(max(top, 0), min(top + len(spans), height)):
        left, right, at = spans[y - top]
        left, right = left - start, right - start
        if left >= 0 and right <= width:
            for x in range(0, right - left, LANES):
                begin = y * width + left + x
                _mix(share, at + x, begin, LANES, step, norm, light, depth, C, P)
        else:
            first, count = max(left, 0), max(min(right, width) - max(left, 0), 0)
            begin = y * width + first
            _mix(share, at + first - left, begin, count, step, norm, light, depth, C, P)


@numba.njit(
    "void(f8[:,::1], u2[:,::1], u2[::1], f4[:,:,::1], f8, f8, f8, i8, i8, f4[::1], f4[::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _splat(
    rows: Any, depth: Any, transmission: Any, outlines: Any, scale: float, psf2: float,
    opacity: float, top: int, start: int, C: Any, P: Any,
) -> None:  # fmt: skip
    shape, box, lanes = np.empty(12), np.empty(4, np.int64), np.empty(LANES, np.float32)
    share, all_spans = np.empty(4096, np.float32), np.empty((256, 3), np.int64)
    (height, width), flat, deepest = depth.shape, depth.reshape(-1), depth.max()
    for i in range(rows.shape[0]):
        step = rows[i, DEPTH] * scale + 0.5
        if step >= deepest + 1.0:
            continue  # behind all that the scene holds
        _trace(rows, i, psf2, opacity, shape)
        most = _frame(shape, box)
        if most > share.shape[0]:
            share = np.empty(2 * most, np.float32)
        if box[3] - box[1] > all_spans.shape[0]:
            all_spans = np.empty((2 * (box[3] - box[1]), 3), np.int64)
        spans = all_spans[: box[3] - box[1]]
        count = _rows(shape, box, share, spans)
        if shape[SHOWN] > 0.0:
            _shape_out(shape, outlines[int(rows[i, TURN] * len(outlines))], box[1], share, spans)
        norm = np.float32(opacity * shape[AREA] / max(_total(share[:count], lanes), 1e-12))
        light = 1.0 + (rows[i, GAIN] - 1.0) * transmission[int(step)] / 65535.0
        place = (box[1] - top, start, height, width)
        _mix_rows(share, spans, place, np.uint16(step), norm, np.float32(light), flat, C, P)
