"""Draw the outlines of near flakes: lumpy aggregates instead of perfect discs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

COUNT, SIDE = 32, 33
_ARMS = 9


def outlines() -> NDArray[np.float32]:
    """Return outlines, float32 [32, 33, 33], each of mean 1 over the disc that fills its square.

    An aggregate is a handful of overlapping crystals: the union of soft blobs that lie around the
    centre, denser where they overlap.
    """
    axis = np.linspace(-1, 1, SIDE)
    x, y = np.meshgrid(axis, axis)
    disc = np.hypot(x, y) <= 1
    drawn = np.stack([_aggregate(index, x, y) for index in range(COUNT)])
    drawn /= drawn[:, disc].mean(axis=1)[:, None, None]
    return drawn.astype(np.float32)


def _aggregate(index: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers = stream("outline", index).random((_ARMS, 4))
    clear = np.ones_like(x)
    for radius, turn, size, dense in numbers:
        far, wide = 0.62 * np.sqrt(radius), 0.25 + 0.3 * size
        cx, cy = far * np.cos(2 * np.pi * turn), far * np.sin(2 * np.pi * turn)
        blob = np.clip(1.35 - np.hypot(x - cx, y - cy) / wide, 0, 0.35) / 0.35
        clear *= 1 - (0.35 + 0.5 * dense) * blob
    return 0.02 + (1 - clear)
