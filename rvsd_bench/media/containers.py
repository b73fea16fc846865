"""Find out whether a video file is whole from its container's own lengths and checksums.

Demuxers pass over what they cannot make sense of; a clip with frames missing from its middle or
its end would go on as if nothing had happened. MP4 boxes and RIFF chunks say how long the file
must be; Matroska elements form a chain that ends exactly where it should, and files written by
FFmpeg's muxer (ours too) carry a CRC-32 for every cluster.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"sidx", b"pnot"}
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT, _CLUSTER, _CRC32, _VOID = 0x18538067, 0x1F43B675, 0xBF, 0xEC
# What may lie in a segment and in a cluster (RFC 9559); a demuxer would skip anything else, and
# with it the frames of a cluster whose name is damaged.
_IN_SEGMENT = {0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770}
_IN_SEGMENT |= {0x1254C367, _VOID, _CRC32}
_IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, _VOID, _CRC32}


@dataclass(frozen=True)
class Damage:
    """Where a file stops making sense, in bytes from its start, and how that shows."""

    at: int
    reason: str


def find_damage(path: Path) -> Damage | None:
    """Return the first damage that the structure of an MP4, AVI or Matroska file shows."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if head[4:8] in _BOXES:
            return _mp4_damage(file, size)
        if head.startswith(b"RIFF"):
            return _riff_damage(file, size)
        if head.startswith(_EBML):
            return _matroska_damage(file, size)
    return None


def _early(size: int, end: int) -> Damage:
    return Damage(size, f"the file ends {end - size} bytes too early")


def _mp4_damage(file: BinaryIO, size: int) -> Damage | None:
    at, indexed = 0, False
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        indexed |= kind == b"moov"
        if length < 8:  # 0: the last box, as long as it likes; else padding that players ignore
            break
        at += length
        if at > size:
            return _early(size, at)
    return None if indexed else Damage(0, "its index (moov) is missing, the file was never closed")


def _riff_damage(file: BinaryIO, size: int) -> Damage | None:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or length == 0:  # trailing bytes, or a recorder that never came back
            return None
        at += 8 + length
        if at > size:
            return _early(size, at)
        at += length % 2
    return None


def _matroska_damage(file: BinaryIO, size: int) -> Damage | None:
    at = 0
    while at < size:
        element = _element(file, at)
        if element is None:
            return Damage(at, "what follows is no Matroska element")
        name, body, end = element
        if end is None:  # a live stream, which does not know its length
            return None
        if end > size:
            return _early(size, end)
        if name == _SEGMENT:
            return _chain_damage(file, body, end, _IN_SEGMENT)
        at = end
    return Damage(size, "it holds no Matroska segment")


def _chain_damage(file: BinaryIO, at: int, stop: int, allowed: set[int]) -> Damage | None:
    while at < stop:
        element = _element(file, at)
        if element is None or element[0] not in allowed:
            return Damage(at, "what follows is no Matroska element")
        name, body, end = element
        if end is None:
            return None
        if end > stop:
            return Damage(at, "an element is longer than what holds it")
        checked = _checksum_holds(file, body, end)
        if checked is False:
            return Damage(at, "a checksum does not match")
        if checked is None and name == _CLUSTER:
            inside = _chain_damage(file, body, end, _IN_CLUSTER)
            if inside:
                return inside
        at = end
    return None


def _checksum_holds(file: BinaryIO, body: int, end: int) -> bool | None:
    """Check an element's CRC-32, which is its first child; None if it has none."""
    file.seek(body)
    head = file.read(6)
    if end - body < 6 or head[:2] != bytes((_CRC32, 0x84)):
        return None
    found, left = 0, end - body - 6
    while left > 0:
        piece = file.read(min(left, 1 << 20))
        found, left = zlib.crc32(piece, found), left - len(piece)
    return found == int.from_bytes(head[2:], "little")


def _element(file: BinaryIO, at: int) -> tuple[int, int, int | None] | None:
    """Return an EBML element's name, where its body begins and ends (None: not said)."""
    file.seek(at)
    head = file.read(12)
    wide = 9 - head[0].bit_length() if head else 9
    if wide > 4 or len(head) <= wide:
        return None
    long = 9 - head[wide].bit_length()
    if long > 8 or len(head) < wide + long:
        return None
    name = int.from_bytes(head[:wide], "big")
    length = int.from_bytes(head[wide : wide + long], "big") - (1 << 7 * long)
    body = at + wide + long
    return name, body, None if length == (1 << 7 * long) - 1 else body + length
