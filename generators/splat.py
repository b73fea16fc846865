"""Draw flakes as the camera sees them: discs, blurred and smeared by their own motion.

The exact picture is the outline folded with the circle of confusion, the lens's blur, the pixel and
the path during the exposure. The round part of that is drawn as a disc and a paraboloid, mixed by
how much of the spread is flake and how much blur, with the exact variance; the path is exact.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.flight import BLUR, DEPTH, DU, DV, GAIN, RADIUS, TURN, U, V

PIXEL_VARIANCE = 1 / 12
SCRATCH = 4096
"""Coverage is made to sum to the flake's area exactly within boxes of at most so many pixels."""
OUTLINE_FROM_PX = 1.8
"""Smaller flakes are round: their outline is lost in the pixels."""


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
    scratch = np.empty(SCRATCH)
    scale = 65535.0 / far_m
    _splat(rows, depth, transmission, outlines, scale, psf_sigma_px**2, opacity, scratch, C, P)


X, Y, COS, SIN, PATH, DISC2, DOME2, DISC, DOME, EDGE, AREA = range(11)
"""Geometry of one flake: start, direction and length of its path, squared radii and weights of disc
and dome, reach from the path, area."""


@numba.njit(cache=True)
def _trace(rows: Any, i: int, psf2: float, shape: Any) -> None:
    """Write the geometry of flake `i`."""
    du, dv, radius = rows[i, DU], rows[i, DV], rows[i, RADIUS]
    run = math.sqrt(du * du + dv * dv)
    shape[COS], shape[SIN] = (du / run, dv / run) if run > 1e-9 else (1.0, 0.0)
    path = max(run, 1.0)  # the pixel smears a resting flake too
    shift = 0.5 * (run - path)
    shape[X], shape[Y] = rows[i, U] + shift * shape[COS], rows[i, V] + shift * shape[SIN]
    flake, circle = 0.25 * radius**2, 0.0625 * rows[i, BLUR] ** 2
    variance = flake + circle + psf2 + PIXEL_VARIANCE
    # A flake thins out towards its rim: half of it is a disc. Its circle of confusion is one.
    sharp = (0.5 * flake + circle) / variance
    sharp = sharp if sharp > 0.05 else 0.0
    shape[PATH], shape[DISC2], shape[DOME2] = path, 4.0 * variance, 6.0 * variance
    shape[AREA], shape[EDGE] = math.pi * radius**2, math.sqrt(6.0 * variance)
    weight = radius**2 / path
    shape[DISC] = weight * sharp / shape[DISC2]
    shape[DOME] = weight * (1.0 - sharp) * 2.0 / shape[DOME2] ** 2


@numba.njit(cache=True)
def _coverage(x: int, y: int, shape: Any) -> float:
    """Return the share of the exposure for which a flake covers a pixel centre.

    A disc of radius R over a path that passes the point at a distance d covers it while its centre
    is within h = sqrt(R² - d²) of the nearest place; the dome 2 (1 - (distance/R)²) likewise.
    """
    dx, dy = x + 0.5 - shape[X], y + 0.5 - shape[Y]
    along, aside = dx * shape[COS] + dy * shape[SIN], dy * shape[COS] - dx * shape[SIN]
    half2 = shape[DOME2] - aside * aside
    if half2 <= 0.0:
        return 0.0
    half = math.sqrt(half2)
    first, last = max(along - half, 0.0), min(along + half, shape[PATH])
    if last <= first:
        return 0.0
    near, far = along - first, along - last
    lost = (near * near * near - far * far * far) * (1.0 / 3.0)
    share = shape[DOME] * (half2 * (last - first) - lost)
    half2 = shape[DISC2] - aside * aside
    if shape[DISC] > 0.0 and half2 > 0.0:
        half = math.sqrt(half2)
        inside = min(along + half, shape[PATH]) - max(along - half, 0.0)
        share += shape[DISC] * max(0.0, inside)
    return share


@numba.njit(cache=True)
def _outline(x: int, y: int, shape: Any, outlines: Any, index: int) -> float:
    """Return what the flake's outline, laid over its middle, multiplies its coverage by."""
    dx, dy = x + 0.5 - shape[X], y + 0.5 - shape[Y]
    along = dx * shape[COS] + dy * shape[SIN] - 0.5 * shape[PATH]
    aside = dy * shape[COS] - dx * shape[SIN]
    side, scale = outlines.shape[1] - 1, 0.5 / math.sqrt(shape[DISC2])
    column = int(min(max(along * scale + 0.5, 0.0), 1.0) * side + 0.5)
    row = int(min(max(aside * scale + 0.5, 0.0), 1.0) * side + 0.5)
    return float(outlines[index, row, column])


@numba.njit(cache=True)
def _draw(
    shape: Any, outlines: Any, index: int, step: int, light: float, opacity: float, depth: Any,
    scratch: Any, C: Any, P: Any,
) -> None:  # fmt: skip
    edge, run, fall = shape[EDGE], shape[PATH] * shape[COS], shape[PATH] * shape[SIN]
    left = math.floor(shape[X] + min(run, 0.0) - edge)
    right = math.ceil(shape[X] + max(run, 0.0) + edge)
    top = math.floor(shape[Y] + min(fall, 0.0) - edge)
    bottom = math.ceil(shape[Y] + max(fall, 0.0) + edge)
    columns = right - left
    exact = columns * (bottom - top) <= scratch.shape[0]
    norm = opacity
    if exact:
        total, k = 1e-12, 0
        for y in range(top, bottom):
            for x in range(left, right):
                share = _coverage(x, y, shape)
                if index >= 0 and share > 0.0:
                    share *= _outline(x, y, shape, outlines, index)
                scratch[k] = share
                total += share
                k += 1
        norm = opacity * shape[AREA] / total
    for y in range(max(top, 0), min(bottom, C.shape[0])):
        for x in range(max(left, 0), min(right, C.shape[1])):
            if depth[y, x] < step:
                continue
            share = scratch[(y - top) * columns + x - left] if exact else _coverage(x, y, shape)
            alpha = min(1.0, norm * share)
            C[y, x] = C[y, x] * (1.0 - alpha)
            P[y, x] = P[y, x] * (1.0 - alpha) + alpha * light


@numba.njit(
    "void(f8[:,::1], u2[:,::1], u2[::1], f4[:,:,::1], f8, f8, f8, f8[::1], f4[:,::1], f4[:,::1])",
    cache=True,
)
def _splat(
    rows: Any, depth: Any, transmission: Any, outlines: Any, scale: float, psf2: float,
    opacity: float, scratch: Any, C: Any, P: Any,
) -> None:  # fmt: skip
    shape = np.empty(11)
    for i in range(rows.shape[0]):
        _trace(rows, i, psf2, shape)
        step = int(min(rows[i, DEPTH] * scale, 65535.0))
        light = 1.0 + (rows[i, GAIN] - 1.0) * transmission[step] / 65535.0
        near = (
            rows[i, RADIUS] > OUTLINE_FROM_PX
            and rows[i, BLUR] < 2.0 * rows[i, RADIUS]
            and shape[PATH] < 3.0 * rows[i, RADIUS]
        )
        index = int(rows[i, TURN] * outlines.shape[0]) if near else -1
        _draw(shape, outlines, index, step, light, opacity, depth, scratch, C, P)
