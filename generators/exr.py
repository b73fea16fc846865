"""Read the depth channel of an OpenEXR picture: one part, scan lines, no compression or zip.

Format: openexr.com, "OpenEXR File Layout". OpenCV's wheels come without it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LINES = {0: 1, 2: 1, 3: 16}
"""Scan lines in a block, by compression: none, zip of one line, zip."""
DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
DEPTHS = ("Z", "depth", "V", "Y", "R")
"""Names of a depth channel, the likeliest first; a layer's name may stand before."""
LARGEST_SIDE = 8192
LARGEST_BLOCK = 2**25
"""Bytes of a block of scan lines, unpacked; undoing zip takes some twenty times as much."""


@dataclass(frozen=True)
class _Header:
    channels: dict[str, np.dtype[Any]]
    left: int
    top: int
    width: int
    height: int
    compression: int
    end: int


def decode(data: bytes) -> NDArray[np.float32]:
    """Return the depth channel, float32 [H, W]; raises ValueError for what is not understood."""
    try:
        header = _header(data)
        return _pixels(data, header, _depth_channel(header))
    except (struct.error, IndexError, KeyError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"damaged ({error})") from error


def _header(data: bytes) -> _Header:
    magic, version = struct.unpack_from("<II", data)
    if magic != 20000630 or version & 0xFF != 2:
        raise ValueError("not an OpenEXR file")
    if version & 0x1A00:
        raise ValueError("tiles, deep pixels and several parts are not read; save plain scan lines")
    at, found = 8, {}
    while data[at]:
        name, at = _text(data, at)
        _, at = _text(data, at)
        (size,) = struct.unpack_from("<i", data, at)
        found[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    left, top, right, bottom = struct.unpack("<4i", found["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise ValueError(f"{width}x{height} pixels")
    compression = found["compression"][0]
    if compression not in LINES:
        raise ValueError(f"compression {compression} is not read; save with zip or none")
    return _Header(_channels(found["channels"]), left, top, width, height, compression, at + 1)


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def _channels(data: bytes) -> dict[str, np.dtype[Any]]:
    """Return the channels in the order in which a scan line holds them."""
    at, channels = 0, dict[str, np.dtype[Any]]()
    while data[at]:
        name, at = _text(data, at)
        kind, _, across, down = struct.unpack_from("<4i", data, at)
        if across != 1 or down != 1:
            raise ValueError(f"channel {name} is subsampled")
        channels[name] = DTYPES[kind]
        at += 16
    return channels


def _depth_channel(header: _Header) -> str:
    for wanted in DEPTHS:
        for name in header.channels:
            if name.rsplit(".", 1)[-1].lower() == wanted.lower():
                return name
    raise ValueError(f"no channel named {', '.join(DEPTHS)} among {', '.join(header.channels)}")


def _pixels(data: bytes, header: _Header, wanted: str) -> NDArray[np.float32]:
    sizes = {name: kind.itemsize * header.width for name, kind in header.channels.items()}
    line = sum(sizes.values())
    names = list(sizes)
    start = sum(sizes[name] for name in names[: names.index(wanted)])
    out = np.empty((header.height, header.width), np.float32)
    step = LINES[header.compression]
    if step * line > LARGEST_BLOCK:
        raise ValueError(f"{len(names)} channels are too many; save the depth alone")
    for block in range(-(-header.height // step)):
        (offset,) = struct.unpack_from("<Q", data, header.end + 8 * block)
        y, size = struct.unpack_from("<ii", data, offset)
        rows = min(step, header.height - (y - header.top))
        packed = data[offset + 8 : offset + 8 + size]
        if not 0 <= y - header.top < header.height or len(packed) != size:
            raise ValueError("cut off")
        raw = packed if size == rows * line else _unzipped(packed, rows * line)
        lines = np.frombuffer(raw, np.uint8).reshape(rows, line)[:, start : start + sizes[wanted]]
        values = np.ascontiguousarray(lines).view(header.channels[wanted])
        out[y - header.top : y - header.top + rows] = values
    return out


def _unzipped(packed: bytes, size: int) -> bytes:
    """Undo zip, then the differences of neighbours, then the sorting into even and odd bytes."""
    inflate = zlib.decompressobj()
    steps = np.frombuffer(inflate.decompress(packed, size), np.uint8)
    if len(steps) != size or inflate.decompress(inflate.unconsumed_tail, 1):
        raise ValueError("a block of the wrong length")
    summed = np.cumsum(steps.astype(np.int64)) - 128 * np.arange(size)
    ordered = np.empty(size, np.uint8)
    half = (size + 1) // 2
    ordered[::2], ordered[1::2] = summed[:half] & 255, summed[half:] & 255
    return ordered.tobytes()
