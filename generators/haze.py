"""Tabulate how much light comes through the air, by depth.

Paths are measured along the optical axis, as planar depth is; the same holds for the area that a
flake covers, so that flakes and haze together take what the size law says.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.size_law import SizeLaw

LEVELS = 65536


def depth_levels(far_m: float) -> NDArray[np.float64]:
    """Return the depths in metres, float64 [65536], for which the tables of a shot hold values."""
    return np.linspace(0.0, far_m, LEVELS)


def depth_index(depth: NDArray[np.float32], far_m: float) -> NDArray[np.uint16]:
    """Return for each planar depth in metres the index of the nearest tabulated one, uint16."""
    steps = depth * np.float32((LEVELS - 1) / far_m)
    return np.asarray(np.minimum(np.rint(steps), np.float32(LEVELS - 1)), np.uint16)


def veil_depth(
    law: SizeLaw, from_m: NDArray[np.float64], depth_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the optical depth, at some depths, of all flakes beyond the depths `from_m`.

    `from_m` has one entry per class of the law: where flakes of that size begin to merge into an
    even veil. The sum over classes is piecewise linear in depth, and is found by two running sums.
    """
    order = np.argsort(from_m, kind="stable")
    starts, slopes = from_m[order], law.cross_section_per_m[order]
    passed = np.searchsorted(starts, depth_m, side="right")
    slope = np.concatenate([[0.0], np.cumsum(slopes)])
    offset = np.concatenate([[0.0], np.cumsum(slopes * starts)])
    return np.asarray(slope[passed] * depth_m - offset[passed])


def transmission_table(tau: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return exp(-tau) as 16-bit transmission (Bouguer's law)."""
    return np.asarray(np.rint(65535 * np.exp(-tau)), np.uint16)


def looked_up(table: NDArray[np.uint16], depth: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return what a table of 65536 levels holds for each depth, uint16 [H, W]."""
    values = np.empty(depth.shape, np.uint16)
    _look_up(np.ascontiguousarray(table), np.ascontiguousarray(depth), values)
    return values


# Depth that is kept on the disk is a memory map that must not be written to.
_DEPTH = numba.types.Array(numba.uint16, 2, "C", readonly=True)
_SIGNATURE = numba.void(numba.uint16[::1], _DEPTH, numba.uint16[:, ::1])


@numba.njit(_SIGNATURE, cache=True, error_model="numpy")
def _look_up(table: Any, depth: Any, values: Any) -> None:
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            values[y, x] = table[depth[y, x]]
