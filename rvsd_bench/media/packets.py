"""List the frames that a video file will show, without decoding any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.media.containers import Damage
from rvsd_bench.media.decoding import opened
from rvsd_bench.media.slices import checksum_start, slices_hold


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """What one pass over a stream's packets tells, without decoding any."""

    pts: NDArray[np.int64]  # of the frames that will be shown, rising
    keys: NDArray[np.int64]  # of those at which decoding can begin
    seekable: bool  # every frame can be told by its time stamp
    damage: str | None
    sound: int
    """How many frames are shown before any that lies at or after damage that checksums show."""


def index_packets(path: Path, damage: Damage | None) -> PacketIndex:
    """Pass over a video's packets once; `damage` is what its container already shows.

    Raises InputError if the file cannot be opened or holds no frames.
    """
    try:
        with opened(path) as (container, stream):
            packets, problem = _demux(container, stream)
            timed = container.format.name != "avi"  # AVI stores an order, not times
    except InputError as error:
        if damage is None:
            raise
        raise InputError(f"{path} is damaged: {damage.reason}; replace it") from error
    if damage:
        before = [packet for packet in packets if packet.at < damage.at]
        if not any(packet.is_reached for packet in before):
            problem = f"{damage.reason} (near frame {len(before)})"
    if not packets:
        raise InputError(f"{path} holds no frames" + (f": {problem}" if problem else ""))
    sound = _before(packets, damage)
    pts = sorted(packet.pts for packet in packets if packet.pts is not None)
    keys = sorted(p.pts for p in packets if p.pts is not None and p.is_key)
    if not timed or len(set(pts)) != len(packets):
        return PacketIndex(np.arange(len(packets)), np.zeros(0, np.int64), False, problem, sound)
    return PacketIndex(np.array(pts), np.array(keys, np.int64), True, problem, sound)


def _before(packets: list[_Packet], damage: Damage | None) -> int:
    """Count the frames that are shown before the first that the damage may have reached."""
    reached = [p for p in packets if p.is_reached or (damage and p.at >= damage.at)]
    stamps = {packet.pts for packet in packets if packet.pts is not None}
    if not reached or len(stamps) < len(packets):
        return len(packets) - len(reached)
    first = min(packet.pts for packet in reached if packet.pts is not None)
    return sum(stamp < first for stamp in stamps)


class _Packet(NamedTuple):
    pts: int | None
    at: int
    is_key: bool
    is_reached: bool
    """Its slices, or those of a packet before it, do not match their checksums."""


def _demux(container: Any, stream: Any) -> tuple[list[_Packet], str | None]:
    """List the packets of frames to show, and say what is wrong with them."""
    packets: list[_Packet] = []
    total, problem, reached = 0, None, False
    start = checksum_start(stream.codec_context.name, stream.codec_context.extradata)
    try:
        for packet in container.demux(stream):
            if packet.size == 0 and packet.dts is None:  # the sign to flush the decoder
                continue
            total += 1
            if start is not None and not reached and not slices_hold(bytes(packet), start):
                reached = True
                problem = problem or f"frame {len(packets)} does not match its checksums"
            if packet.is_corrupt:
                problem = problem or f"frame {len(packets)} is cut short"
            elif not packet.is_discard:  # an edit list hides what comes before its start
                packets.append(_Packet(packet.pts, packet.pos or 0, packet.is_keyframe, reached))
    except av.error.FFmpegError as error:
        problem = problem or f"frame {len(packets)} cannot be read ({error.strerror})"
    declared = len(stream.index_entries)
    if container.format.name.startswith("mov") and total != declared:
        problem = problem or f"it declares {declared} frames and holds {total}"
    return packets, problem
