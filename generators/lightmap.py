"""Keep the light of the air coarsely where it varies, and spread it over the picture exactly.

A cell of the coarse map stands for 8 x 8 pixels, and its value for their middle. Spreading is
bilinear and in whole numbers, as composing with it is: both give the same on any machine.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError

CELL = 8
"""Pixels per side of a cell."""


def cells(size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of cells of a picture of a size (H, W); the last may jut out."""
    return -(-size[0] // CELL), -(-size[1] // CELL)


def spread(light: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Return a coarse map [ceil(H/8), ceil(W/8), 3] at every pixel, uint16 [H, W, 3].

    Between the middles of cells it is bilinear, beyond the outermost it is theirs; halves are
    rounded up. Raises InputError if the map does not belong to that size.
    """
    if light.shape != (*cells(size), 3):
        raise InputError(f"a light map of {light.shape} does not belong to a picture of {size}")
    wide = np.empty((*size, 3), np.uint16)
    _spread(np.ascontiguousarray(light), wide)
    return wide


@numba.njit(inline="always", cache=True, error_model="numpy")
def _between(pixel: int, last: int) -> Any:
    """Return the two cells whose middles a pixel lies between, and its way in sixteenths."""
    sixteenths = 2 * pixel + 1 - CELL
    first = sixteenths // (2 * CELL)
    way = sixteenths - first * 2 * CELL
    return max(first, 0), min(first + 1, last), way


@numba.njit("void(u2[:,:,::1], u2[:,:,::1])", cache=True, error_model="numpy")
def _spread(light: Any, wide: Any) -> None:
    rows, columns = light.shape[0], light.shape[1]
    for y in range(wide.shape[0]):
        up, low, down = _between(y, rows - 1)
        for x in range(wide.shape[1]):
            left, right, along = _between(x, columns - 1)
            for c in range(3):
                upper = light[up, left, c] * (16 - along) + light[up, right, c] * along
                lower = light[low, left, c] * (16 - along) + light[low, right, c] * along
                wide[y, x, c] = (upper * (16 - down) + lower * down + 128) >> 8


def compose_lit(
    clean: Frame,
    layers: tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]],
    air: NDArray[np.uint16],
    gain: int,
    tables: tuple[NDArray[np.uint16], NDArray[np.uint8]],
) -> Frame:
    """Return the snowy frame under a light that varies, uint16 [H, W, 3]; see `compose.compose`.

    `layers` are T, z and p; `tables` decode and encode.
    """
    snowy = np.empty_like(clean)
    _compose(np.ascontiguousarray(clean), *layers, air, gain, *tables, snowy)
    return snowy


@numba.njit(cache=True, error_model="numpy")
def _compose(
    clean: Any, T: Any, z: Any, p: Any, A: Any, gain: int, decode: Any, encode: Any, snowy: Any
) -> None:
    one, half = np.uint64(65535), np.uint64(32767)
    for y in range(clean.shape[0]):
        for x in range(clean.shape[1]):
            t, clear = np.uint64(T[y, x]), one - np.uint64(z[y, x])
            bright = np.uint64(gain) * np.uint64(p[y, x])
            for c in range(3):
                a, light = np.uint64(A[y, x, c]), np.uint64(decode[clean[y, x, c]])
                hazy = (light * t + a * (one - t) + half) // one
                level = (hazy * clear + a * bright + half) // one
                snowy[y, x, c] = encode[min(level, one)]
