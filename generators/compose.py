"""Put a snowy frame together from a clean frame and its quantised layers, in whole numbers.

With every layer a 16-bit integer, the frame is defined by integers alone, and comes out the same
byte for byte on any machine:

    L = decode[J8];  J' = (L·T + A·(65535 − T) + 32767) // 65535
    I = (J'·(65535 − z) + k·A·p + 32767) // 65535;  I8 = encode[min(I, 65535)]
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.colour import enc8, lin16
from rvsd_bench.errors import unknown
from rvsd_bench.generators.lightmap import compose_lit

VERSION = 1
"""The version of the arithmetic above; it changes when a byte of any frame would."""
MOST_GAIN = 64


@cache
def tables(domain: str) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return the tables decode uint16[256] and encode uint8[65536] of a composing domain.

    `linear` composes linear light, `srgb` the display values themselves; any other raises
    InputError.
    """
    if domain == "linear":
        return lin16(), enc8()
    if domain != "srgb":
        raise unknown("composing domain", domain, ["linear", "srgb"])
    decode, encode = (
        (np.arange(256) * 257).astype(np.uint16),
        ((np.arange(65536) + 128) // 257).astype(np.uint8),
    )
    decode.flags.writeable = encode.flags.writeable = False
    return decode, encode


def facts(domain: str, gain: int) -> dict[str, Any]:
    """Return what `meta` must record for the frame to be put together again."""
    digest = hashlib.sha256(tables(domain)[1].tobytes()).hexdigest()
    return {"domain": domain, "gain": gain, "enc8_sha256": digest, "version": VERSION}


def gain_for(brightest: float) -> int:
    """Return the smallest power of two, up to 64, that is not below `brightest`.

    Coverage times the radiance of a flake, relative to the air's, is stored divided by it.
    """
    gain = 1
    while gain < brightest and gain < MOST_GAIN:
        gain *= 2
    return gain


def compose(
    clean: Frame,
    T: NDArray[np.uint16],
    z: NDArray[np.uint16],
    p: NDArray[np.uint16],
    A: NDArray[np.uint16],
    gain: int,
    domain: str = "linear",
) -> Frame:
    """Return the snowy frame, uint8 [H, W, 3].

    `T`, `z` and `p` are transmission, coverage and radiance, uint16 [H, W]; `A` is the atmospheric
    light, uint16 [3], or [H, W, 3] where it varies; `gain` is the k of the equation, a power of two
    from 1 to 64.
    """
    decode, encode = tables(domain)
    if A.ndim == 3:
        return compose_lit(clean, (T, z, p), A, gain, (decode, encode))
    snowy = np.empty_like(clean)
    _compose(np.ascontiguousarray(clean), T, z, p, A, gain, decode, encode, snowy)
    return snowy


def in_steps(plane: NDArray[np.float32], steps: float) -> NDArray[np.uint16]:
    """Return a plane, float32 [H, W], times `steps`, rounded to whole ones, uint16 [H, W]."""
    levels = np.empty(plane.shape, np.uint16)
    _round(np.ascontiguousarray(plane), np.float32(steps), levels)
    return levels


def _given(dtype: Any, ndim: int) -> Any:
    return numba.types.Array(dtype, ndim, "C", readonly=True)


_U1, _U2 = numba.uint8, numba.uint16
_PLANE = _given(_U2, 2)


@numba.njit(numba.void(_given(numba.float32, 2), numba.float32, _U2[:, ::1]), cache=True)
def _round(plane: Any, steps: Any, levels: Any) -> None:
    whole = np.float32(3 << 22)  # from here on float32 holds whole numbers alone
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            levels[y, x] = np.uint16(np.int32((plane[y, x] * steps + whole) - whole))


@numba.njit("u4(u4)", inline="always", cache=True, error_model="numpy")
def _rounded(product: Any) -> Any:
    """Return (product + 32767) // 65535 of a product up to 65535², which fits 32 bits throughout.

    With v = 65535 q + r, v + (v >> 16) + 1 lies in the q-th run of 65536.
    """
    v = np.uint32(product + np.uint32(32767))
    return np.uint32(np.uint32(v + np.uint32(v >> np.uint32(16)) + np.uint32(1)) >> np.uint32(16))


@numba.njit(
    numba.void(
        _given(_U1, 3), _PLANE, _PLANE, _PLANE, _given(_U2, 1), numba.int64,
        _given(_U2, 1), _given(_U1, 1), _U1[:, :, ::1],
    ),
    cache=True, error_model="numpy",
)  # fmt: skip
def _compose(
    clean: Any, T: Any, z: Any, p: Any, A: Any, gain: int, decode: Any, encode: Any, snowy: Any
) -> None:
    one, most = np.uint32(65535), np.uint64(65535 * 65535)
    width = clean.shape[1]
    light, level = np.empty(width, np.uint16), np.empty(width, np.uint16)
    for y in range(clean.shape[0]):
        for c in range(3):
            air, shine = np.uint32(A[c]), np.uint64(A[c]) * np.uint64(gain)
            for x in range(width):
                light[x] = decode[clean[y, x, c]]
            for x in range(width):  # no table in this loop, so that it is vectorised
                t, clear = np.uint32(T[y, x]), one - np.uint32(z[y, x])
                hazy = _rounded(np.uint32(np.uint32(light[x]) * t + air * np.uint32(one - t)))
                total = np.uint64(np.uint32(hazy * np.uint32(clear))) + shine * np.uint64(p[y, x])
                level[x] = _rounded(np.uint32(min(total, most)))
            for x in range(width):
                snowy[y, x, c] = encode[level[x]]
