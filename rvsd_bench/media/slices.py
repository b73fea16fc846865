"""Check the checksums that FFV1 video keeps in the slices of its frames (RFC 9043).

FFmpeg's decoder goes on after a slice whose checksum fails: it shows what was in memory, which
may differ at the next reading. So packets are judged before it sees them.
"""

from __future__ import annotations

import zlib

# A slice ends with its own length in 3 bytes. Where slices are checked, a status (1 byte) and a
# CRC (4 bytes) follow it.
_LENGTH, _PLAIN, _CHECKED = 3, 3, 8
# A configuration record begins with the version, arithmetic coded: five choices between halves of
# what is left of 0xFF00. Those below are 0 to 2, which have no such footers; those above none.
_THIRD_VERSION, _NO_VERSION = 0x4FB0, 0x7F80
# What a checksum begins with and, over all bytes and itself, returns to; bits mirrored. The second
# is that of version 4 (FFmpeg's slicecrc=2).
_STARTS = (0, 0x5E31029E)
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum_start(codec: str, record: bytes | None) -> int | None:
    """Return what the checksums of a stream's slices begin with, or None if it can have none.

    `record` is the stream's configuration record, which tells by its own checksum; a decoder
    refuses a record whose checksum fails.
    """
    if codec != "ffv1" or record is None:
        return None
    if not _THIRD_VERSION <= int.from_bytes(record[:2], "big") < _NO_VERSION:
        return None
    mirrored = record.translate(_MIRRORED)
    return next((start for start in _STARTS if _returns(mirrored, start)), None)


def slices_hold(packet: bytes, start: int) -> bool:
    """Say whether a packet is a row of slices that match their checksums, or that have none.

    The flag that tells which is coded far inside of the configuration record; but footers of the
    wrong length do not lead to the packet's first byte, save by chance (1 in 10 million).
    """
    checked = _slices(packet, _CHECKED)
    if checked is not None:
        mirrored = memoryview(packet.translate(_MIRRORED))
        if all(_returns(mirrored[first:end], start) for first, end in checked):
            return True
    return _slices(packet, _PLAIN) is not None


def _slices(packet: bytes, footer: int) -> list[tuple[int, int]] | None:
    """Find the slices from the last to the first; None if they do not fill the packet."""
    found, end = [], len(packet)
    while end > footer:
        at = end - footer
        first = at - int.from_bytes(packet[at : at + _LENGTH], "big")
        found.append((first, end))
        end = first
    return found if end == 0 else None


def _returns(mirrored: bytes | memoryview, start: int) -> bool:
    """Say whether a CRC-32 comes back to its start; zlib has the same one for mirrored bytes."""
    inverted = start ^ 0xFFFFFFFF  # as zlib takes it and gives it
    return zlib.crc32(mirrored, inverted) == inverted
