"""Tabulate how much light comes through the air, by depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVELS = 65536


def depth_levels(far_m: float) -> NDArray[np.float64]:
    """Return the depths in metres, float64 [65536], for which the tables of a shot hold values."""
    return np.arange(LEVELS) * (far_m / (LEVELS - 1))


def depth_index(depth: NDArray[np.float32], far_m: float) -> NDArray[np.uint16]:
    """Return for each planar depth in metres the index of the nearest tabulated one, uint16."""
    steps = depth * np.float32((LEVELS - 1) / far_m)
    return np.minimum(np.rint(steps), np.float32(LEVELS - 1)).astype(np.uint16)


def transmission_table(tau: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return exp(-tau) as 16-bit transmission (Bouguer's law)."""
    return np.rint(65535 * np.exp(-tau)).astype(np.uint16)
