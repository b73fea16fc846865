"""Draw the outlines of near flakes: lumpy aggregates instead of perfect discs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

COUNT, SIDE = 32, 33
FILLED = 0.64
_ARMS = 13


def outlines() -> NDArray[np.float32]:
    """Return outlines, float32 [32, 33, 33], from 0 to 1.

    They hide about 0.64 of the disc that fills their square, as one of 0.8 of its radius does. An
    aggregate is a handful of overlapping crystals: the union of soft blobs around the centre.
    """
    axis = np.linspace(-1, 1, SIDE)
    x, y = np.meshgrid(axis, axis)
    disc = np.hypot(x, y) <= 1
    return np.stack([_scaled(_aggregate(i, x, y), disc) for i in range(COUNT)]).astype(np.float32)


def _scaled(hidden: NDArray[np.float64], disc: NDArray[np.bool_]) -> NDArray[np.float64]:
    for _ in range(20):  # what exceeds 1 is cut off, and the rest scaled again
        hidden = np.minimum(hidden * (FILLED / hidden[disc].mean()), 1)
    return hidden


def _aggregate(index: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers = stream("outline", index).random((_ARMS, 4))
    clear = np.ones_like(x)
    for radius, turn, size, dense in numbers:
        far, wide = 0.62 * np.sqrt(radius), 0.2 + 0.3 * size
        cx, cy = far * np.cos(2 * np.pi * turn), far * np.sin(2 * np.pi * turn)
        blob = np.clip(1.35 - np.hypot(x - cx, y - cy) / wide, 0, 0.35) / 0.35
        clear *= 1 - (0.5 + 0.5 * dense) * blob
    return np.asarray(1 - clear)
