"""Convert between 8-bit sRGB and 16-bit linear light with two exact tables (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decode_srgb(display: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn display-referred sRGB in [0, 1] into linear light in [0, 1]."""
    x = np.asarray(display, np.float64)
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0.0) + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn linear light in [0, 1] into display-referred sRGB in [0, 1]."""
    x = np.asarray(linear, np.float64)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 0.0) ** (1 / 2.4) - 0.055)


def _table(values: NDArray[np.float64], dtype: type[np.unsignedinteger]) -> NDArray[np.generic]:
    table = np.floor(values + 0.5).astype(dtype)
    table.flags.writeable = False
    return table


def lin16() -> NDArray[np.uint16]:
    """Return the table uint16[256] from an 8-bit sRGB value to 16-bit linear light."""
    return _table(65535 * decode_srgb(np.arange(256) / 255), np.uint16)  # type: ignore[return-value]


def enc8() -> NDArray[np.uint8]:
    """Return the table uint8[65536] from 16-bit linear light to the nearest 8-bit sRGB value."""
    return _table(255 * encode_srgb(np.arange(65536) / 65535), np.uint8)  # type: ignore[return-value]
