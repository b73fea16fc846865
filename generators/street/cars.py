"""Build the parked cars of our rendered street. Sizes in metres."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from rvsd_bench.generators.street.colours import DARK, RUBBER, Array, Colour
from rvsd_bench.generators.street.mesh import Mesh, boxes, faces, join, quads, vector
from rvsd_bench.generators.street.surfaces import GLASS, PAINT, PLAIN, WHEEL

# The outline of a car from rear to front: z, then the heights of its sill, flank, belt and roof
# line and the half widths there.
_Z = np.array([-2.12, -2.06, -1.98, -1.62, -0.9, -0.1, 0.35, 1.08, 1.75, 2.06, 2.16])
_HEIGHTS = np.array(
    [
        [0.30, 0.26, 0.25, 0.22, 0.22, 0.22, 0.22, 0.22, 0.23, 0.25, 0.30],
        [0.52, 0.56, 0.62, 0.64, 0.62, 0.60, 0.60, 0.60, 0.58, 0.52, 0.46],
        [0.70, 0.88, 0.97, 0.98, 0.96, 0.94, 0.93, 0.90, 0.80, 0.68, 0.56],
        [0.72, 0.92, 1.06, 1.38, 1.475, 1.47, 1.43, 1.00, 0.89, 0.76, 0.58],
    ]
)
_HALF_WIDTHS = np.array(
    [
        [0.70, 0.76, 0.80, 0.83, 0.84, 0.84, 0.84, 0.83, 0.80, 0.74, 0.60],
        [0.74, 0.82, 0.87, 0.90, 0.91, 0.91, 0.91, 0.90, 0.86, 0.78, 0.62],
        [0.72, 0.79, 0.83, 0.86, 0.87, 0.87, 0.87, 0.86, 0.80, 0.72, 0.58],
        [0.66, 0.68, 0.68, 0.62, 0.61, 0.61, 0.62, 0.71, 0.68, 0.62, 0.50],
    ]
)


def car(paint: Colour) -> Mesh:
    """Return a parked car, its rear at z = -2.1, its wheels on y = 0, its middle at x = 0."""
    lines = [_outline(level) for level in range(4)]
    flank = np.concatenate([_loft(a, b) for a, b in pairwise(lines)])
    half = join([faces(flank, PAINT, paint), _side_windows()])
    lid = faces(_loft(lines[3], lines[3] * [-1, 1, 1]), PAINT, paint)
    return join([half, half.mirrored(), lid, _screens(), _ends(paint), _wheels()])


def _outline(level: int) -> Array:
    return np.stack([_HALF_WIDTHS[level], _HEIGHTS[level], _Z], axis=1)


def _at(level: int, z: float) -> Array:
    """Return the point of an outline at z."""
    return np.array([np.interp(z, _Z, _HALF_WIDTHS[level]), np.interp(z, _Z, _HEIGHTS[level]), z])


def _side_windows() -> Mesh:
    def on_cabin(z: float, part: float) -> Array:
        return _at(2, z) * (1 - part) + _at(3, z) * part + vector(0.012, 0.004, 0)

    low, high = 0.06, 0.86
    spans = (((-1.62, -1.45), (-0.62, -0.62)), ((-0.54, -0.54), (0.86, 0.36)))
    panes = [
        [on_cabin(a, low), on_cabin(c, low), on_cabin(d, high), on_cabin(b, high)]
        for (a, b), (c, d) in spans
    ]
    return faces(panes, GLASS, DARK)


def _screens() -> Mesh:
    """Return the rear window and the windscreen, a little above the painted lid."""
    panes = []
    for low, high in ((-1.96, -1.66), (1.02, 0.42)):
        a, b = _at(3, low) + vector(-0.07, 0.012, 0), _at(3, high) + vector(-0.07, 0.012, 0)
        out = np.array([0, 0, -0.015 if low < 0 else 0.015])
        flip = np.array([-1, 1, 1])
        panes.append([a * flip + out, a + out, b + out, b * flip + out])
    return faces(panes, GLASS, DARK)


def _loft(lower: Array, upper: Array) -> Array:
    """Return two triangles for each piece of the band between two lines [K, 3]."""
    a, b, c, d = lower[:-1], lower[1:], upper[1:], upper[:-1]
    first, second = np.stack([a, b, c, c], axis=1), np.stack([a, c, d, d], axis=1)
    return np.stack([first, second], axis=1).reshape(-1, 4, 3)


def _ends(paint: Colour) -> Mesh:
    rear = [
        quads((-0.70, 0.30, -2.13), (1.40, 0, 0), (0, 0.09, 0), PLAIN, RUBBER),
        quads((-0.72, 0.39, -2.135), (1.44, 0, 0), (0, 0.34, 0), PAINT, paint),
        quads((-0.26, 0.50, -2.15), (0.52, 0, 0), (0, 0.11, 0), PLAIN, (0.7, 0.55, 0.08)),
        quads([[-0.79, 0.64, -2.145], [0.51, 0.64, -2.145]], (0.28, 0, 0), (0, 0.26, 0.02), PAINT,
              (0.42, 0.02, 0.012)),
    ]  # fmt: skip
    front = [
        quads((-0.60, 0.30, 2.165), (1.20, 0, 0), (0, 0.28, 0), PLAIN, RUBBER),
        quads((-0.26, 0.36, 2.18), (0.52, 0, 0), (0, 0.11, 0), PLAIN, (0.75, 0.75, 0.72)),
        quads([[-0.74, 0.55, 2.13], [0.42, 0.55, 2.13]], (0.32, 0, 0), (0, 0.14, -0.08), GLASS,
              (5.0, 5.0, 5.2)),
    ]  # fmt: skip
    under = boxes((-0.72, 0.12, -1.95), (0.72, 0.30, 1.95), PLAIN, (0.012, 0.012, 0.012))
    return join([*rear, *front, under])


def _wheels() -> Mesh:
    hubs = np.array([[0.915, 0.0, z - 0.32] for z in (-1.28, 1.36)])
    arches = hubs - [0.004, 0.0, 0.06]
    side = join(
        [
            quads(hubs, (0, 0, 0.64), (0, 0.64, 0), WHEEL, (0.55, 0.55, 0.56)),
            quads(arches, (0, 0, 0.76), (0, 0.74, 0), WHEEL, (0.05, 0.05, 0.05)),
        ]
    )
    return join([side, side.mirrored()])
