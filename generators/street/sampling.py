"""Average textures over the piece of surface that a sample sees."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rvsd_bench.generators.street.surfaces import SIDE

LEVELS = SIDE.bit_length()
"""Texture sides of 256, 128, ... 1, halved along u and v independently."""


def pyramid(textures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return every texture halved along v and u independently, uint8 [textures, texels, 4].

    Level (i, j), of SIDE >> i rows and SIDE >> j columns, starts at texel `_start(i, j)`.
    """
    parts: list[NDArray[np.float32]] = []
    rows, half = textures, np.float32(0.5)
    for _ in range(LEVELS):
        level = rows
        for _ in range(LEVELS):
            parts.append(level.reshape(len(textures), -1, 4))
            level = (level[:, :, ::2] + level[:, :, -1::-2][:, :, ::-1]) * half
        rows = (rows[:, ::2] + rows[:, -1::-2][:, ::-1]) * half
    return np.asarray(np.rint(np.concatenate(parts, axis=1) * 255), np.uint8)


@njit(cache=True, error_model="numpy")
def _start(i, j):  # type: ignore[no-untyped-def]
    """Return the first texel of level (i, j): sum over all levels before it."""
    before = 2 * SIDE - 1  # texels of one row at all its levels
    texels = (2 * SIDE - 2 * (SIDE >> i)) * before
    return texels + (SIDE >> i) * (2 * SIDE - 2 * (SIDE >> j))


@njit(cache=True, error_model="numpy")
def _level(step):  # type: ignore[no-untyped-def]
    texels = abs(step) * SIDE
    return min(LEVELS - 1, max(0, int(np.log2(texels) + 0.5))) if texels > 1 else 0


@njit(cache=True, error_model="numpy")
def texel(texels, u, v, du, dv, out):  # type: ignore[no-untyped-def]
    """Write the bilinear texture value at (u, v), averaged over steps du and dv, into out[4]."""
    i, j = _level(dv), _level(du)
    rows, columns, start = SIDE >> i, SIDE >> j, _start(i, j)
    x, y = (u - np.floor(u)) * columns - 0.5, (v - np.floor(v)) * rows - 0.5
    left, low = int(np.floor(x)), int(np.floor(y))
    right_part, high_part = x - left, y - low
    for channel in range(4):
        out[channel] = 0.0
    for b in range(2):
        for a in range(2):
            weight = (right_part if a else 1 - right_part) * (high_part if b else 1 - high_part)
            at = start + ((low + b) % rows) * columns + (left + a) % columns
            for channel in range(4):
                out[channel] += weight * texels[at, channel] / 255.0
