"""Find what stands right before a resting camera: fences, posts and parked bicycles.

A plane puts all that is seen near the vanishing point at the end of the world, also the top of a
fence whose foot is below the picture. What comes up from the lower edge, is no road, and keeps its
colour, is one thing, and as near all over as it is at that edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.generators.glimpses import evenly, small
from rvsd_bench.generators.obstacles import road_ahead

COLUMNS = 320
ALIKE = (8.0, 6.0, 6.0)
"""Lightness and colour (CIELAB) by which a thing may differ from where it meets the edge."""
UNLIKE = 25.0
"""In CIELAB: by how much it differs from the road."""
MOST, LEAST_RISE = 0.35, 0.25
"""A larger part of the picture is no thing but a place; a lower one is a kerb, or a shadow."""


def foreground(clip: Clip, horizon: float) -> NDArray[np.float32] | None:
    """Return where something stands before a resting camera, float32 [h, w] in [0, 1], or None.

    It is sought in the median of twelve frames, which shows neither who passes nor noise. `horizon`
    is a fraction of the height.
    """
    import cv2

    height, width = clip.size
    size = min(COLUMNS, width), max(2, round(height * min(COLUMNS, width) / width))
    frames = [
        cv2.resize(small(clip, i), size, interpolation=cv2.INTER_AREA) for i in evenly(len(clip))
    ]
    usual = np.median(np.stack(frames), axis=0).astype(np.float32) / 255
    colours = cv2.cvtColor(usual, cv2.COLOR_RGB2LAB)
    down = np.arange(size[1], dtype=np.float64) + 0.5 - horizon * size[1]
    road = road_ahead(colours, down)
    if not len(road):
        return None
    unlike = np.linalg.norm(colours[-3:] - np.median(road, axis=0), axis=2)
    edge = unlike.min(axis=0) > UNLIKE
    found = np.zeros((size[1] + 2, size[0] + 2), np.uint8)
    for column in np.flatnonzero(edge):
        thing = _grown(colours, int(column))
        rows = np.flatnonzero(thing[1:-1, 1:-1].any(axis=1))
        rises = size[1] - rows[0] if len(rows) else 0
        if thing.mean() < MOST and rises > LEAST_RISE * size[1]:
            found |= thing
    if not found.any():
        return None
    return np.asarray(found[1:-1, 1:-1], np.float32)


def _grown(colours: NDArray[np.float32], column: int) -> NDArray[np.uint8]:
    """Return what hangs together with the foot of a column and has its colour, with a border."""
    import cv2

    rows, columns = colours.shape[:2]
    mask = np.zeros((rows + 2, columns + 2), np.uint8)
    flags = 8 | (1 << 8) | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY
    cv2.floodFill(colours, mask, (column, rows - 2), 0, ALIKE, ALIKE, flags)
    mask[[0, -1]] = mask[:, [0, -1]] = 0
    return mask
