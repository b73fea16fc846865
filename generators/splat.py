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
) -> None:
    """Draw a list of flakes, far ones first, over the planes C and P, float32 [H, W], in place.

    C is what the flakes let through, P their radiance relative to the air, times coverage. Nothing
    is drawn where the scene is nearer than the flake: `depth` is in steps of far/65535, and so is
    the table `transmission`, by which a flake fades into the air. Coverage is the time average of
    a moving disc: its sum over the picture is the flake's area in pixels, whatever its blur or
    motion.
    """
    scale = 65535.0 / far_m
    _splat(rows, depth, transmission, outlines, scale, psf_sigma_px**2, opacity, C, P)


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
def _area(s: float, half2: float) -> float:
    """Return the integral of (half² - s²)² from 0 to s."""
    s2 = s * s
    return s * (half2 * half2 - s2 * (half2 * (2.0 / 3.0) - s2 * 0.2))


@numba.njit(cache=True, error_model="numpy")
def _coverage(
    along: float, aside2: float, path: float, disc2: float, dome2: float, disc: float, dome: float
) -> float:
    """Return the share of the exposure for which a flake covers a pixel centre.

    A disc of radius R over a path that passes the point at a distance d covers it while its centre
    is within h = sqrt(R² - d²) of the nearest place; the dome 3 (1 - (distance/R)²)² likewise.
    """
    half2 = dome2 - aside2
    if half2 <= 0.0:
        return 0.0
    half = math.sqrt(half2)
    first, last = max(along - half, 0.0), min(along + half, path)
    if last <= first:
        return 0.0
    near, far = along - first, along - last
    share: float = dome * (_area(near, half2) - _area(far, half2))
    half2 = disc2 - aside2
    if disc > 0.0 and half2 > 0.0:
        half = math.sqrt(half2)
        share += disc * max(0.0, min(along + half, path) - max(along - half, 0.0))
    return share


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
def _cover(shape: Any, box: Any, outline: Any, patch: Any) -> float:
    """Write the coverage of a box of pixels into `patch`, row by row; return its sum."""
    cos, sin, path = shape[COS], shape[SIN], shape[PATH]
    disc2, dome2, disc, dome = shape[DISC2], shape[DOME2], shape[DISC], shape[DOME]
    shown, scale = shape[SHOWN], 0.5 / math.sqrt(disc2)
    total, k = 0.0, 0
    for y in range(box[1], box[3]):
        dy = y + 0.5 - shape[Y]
        for x in range(box[0], box[2]):
            dx = x + 0.5 - shape[X]
            along, aside = dx * cos + dy * sin, dy * cos - dx * sin
            share = _coverage(along, aside * aside, path, disc2, dome2, disc, dome)
            if shown > 0.0 and share > 0.0:
                outer = 1.0 - _outline(along - 0.5 * path, aside, scale, outline)
                share *= 1.0 - shown * outer
            patch[k] = share
            total += share
            k += 1
    return total


@numba.njit(cache=True, error_model="numpy")
def _mix(
    patch: Any, box: Any, norm: float, step: int, light: float, depth: Any, C: Any, P: Any
) -> None:
    """Mix a patch of coverage into the planes, where the scene is not nearer than the flake."""
    columns = box[2] - box[0]
    for y in range(max(box[1], 0), min(box[3], C.shape[0])):
        for x in range(max(box[0], 0), min(box[2], C.shape[1])):
            share = patch[(y - box[1]) * columns + x - box[0]]
            if share > 0.0 and depth[y, x] >= step:
                alpha = min(1.0, norm * share)
                C[y, x] = C[y, x] * (1.0 - alpha)
                P[y, x] = P[y, x] * (1.0 - alpha) + alpha * light


@numba.njit(
    "void(f8[:,::1], u2[:,::1], u2[::1], f4[:,:,::1], f8, f8, f8, f4[:,::1], f4[:,::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _splat(
    rows: Any, depth: Any, transmission: Any, outlines: Any, scale: float, psf2: float,
    opacity: float, C: Any, P: Any,
) -> None:  # fmt: skip
    shape, box = np.empty(12), np.empty(4, np.int64)
    patch = np.empty(4096)
    for i in range(rows.shape[0]):
        step = int(rows[i, DEPTH] * scale + 0.5)
        if step > 65535:
            continue  # behind all that the scene holds
        _trace(rows, i, psf2, opacity, shape)
        run, fall, edge = shape[PATH] * shape[COS], shape[PATH] * shape[SIN], shape[EDGE]
        box[0] = math.floor(shape[X] + min(run, 0.0) - edge)
        box[1] = math.floor(shape[Y] + min(fall, 0.0) - edge)
        box[2] = math.ceil(shape[X] + max(run, 0.0) + edge)
        box[3] = math.ceil(shape[Y] + max(fall, 0.0) + edge)
        size = (box[2] - box[0]) * (box[3] - box[1])
        if size > patch.shape[0]:
            patch = np.empty(2 * size)
        total = _cover(shape, box, outlines[int(rows[i, TURN] * len(outlines))], patch)
        norm = opacity * shape[AREA] / max(total, 1e-12)
        light = 1.0 + (rows[i, GAIN] - 1.0) * transmission[step] / 65535.0
        _mix(patch, box, norm, step, light, depth, C, P)
