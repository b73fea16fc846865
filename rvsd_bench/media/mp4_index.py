"""Refuse MP4 files whose index claims more than they can hold, before a demuxer believes it.

A box of a few bytes may announce millions of samples, for each of which a demuxer takes memory:
2 KB of file became gigabytes. The boxes are passed through as FFmpeg does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rvsd_bench.errors import InputError

_HOLDERS = {b"moov", b"moof", b"trak", b"traf", b"mdia", b"minf", b"stbl", b"edts", b"mvex"}
_HOLDERS |= {b"udta", b"meta", b"ilst", b"tref", b"dinf", b"wave", b"sinf", b"schi"}
_DEPTH = 10
_COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4, b"elst": 4}
"""Boxes that count samples or edits, and where in their body the number stands."""
_MANY_EDITS, _MOST_SHOWN = 100, 20_000_000
"""Beyond so many edits, each of which may repeat all samples, an index has so many entries at most.
"""


def require_modest_index(path: Path) -> None:
    """Raise InputError for an MP4 file that claims more samples than it has bytes, or hides them.

    A file of another kind holds no boxes, and passes; FFmpeg, too, tells by what it finds later on.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        claimed, most = Counter[bytes](), 0
        for kind, number in _claims(file, 0, size):
            claimed[kind] += number
            most = max(most, number if kind in (b"stsz", b"stz2") else 0)
    samples = claimed[b"stsz"] + claimed[b"stz2"] + claimed[b"trun"]
    if claimed[b"cmov"]:
        raise InputError(f"{path} has a compressed index (cmov): write it anew with FFmpeg")
    if samples > size:
        raise InputError(f"{path} is damaged: it claims {samples} samples in {size} bytes")
    edits = claimed[b"elst"]
    if edits > _MANY_EDITS and edits * most > _MOST_SHOWN:
        raise InputError(
            f"{path} claims {edits} edits of {most} samples: write it anew with FFmpeg"
        )


def _claims(file: BinaryIO, at: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield the boxes that count something, wherever they lie, each with its number."""
    while at + 8 <= end and depth <= _DEPTH:
        file.seek(at)
        head = file.read(16)
        length, kind, body = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if length == 1:
            length, body = int.from_bytes(head[8:16], "big"), at + 16
        stop = min(at + length, end) if length else end
        if stop < body:
            return
        if kind in _HOLDERS:
            yield from _claims(file, body, stop, depth + 1)
            if kind == b"meta":  # with a version in MP4, without one in QuickTime
                yield from _claims(file, body + 4, stop, depth + 1)
        elif kind in _COUNTS:
            file.seek(body + _COUNTS[kind])
            yield kind, int.from_bytes(file.read(4), "big")
        elif kind == b"cmov":
            yield kind, 1
        at = stop
