"""Measure what opening costs: the checksums of FFV1, and clips that a training has seen before.

FFV1's slices are checked as a video is opened: told is the share of what decoding its frames takes.
A training surveys clean clips (motion, depth, light) at its first start and reads what it kept at
later ones: told are both, for each clip, with the frames decoded beforehand. Our rendered street,
one process, CPU time.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rvsd_bench.generators import SnowPairs, preset
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.decoding import opened
from rvsd_bench.media.frame_cache import cache_clip, cache_folder
from rvsd_bench.media.slices import checksum_start, slices_hold
from rvsd_bench.media.video import open_video, write_ffv1

MOST_CHECKING, MOST_READING = 0.05, 0.1
"""Of decoding, and of a survey."""
CLIPS, FRAMES, SIZE = 4, 25, (360, 640)
ROUNDS = 5


def seconds(work: Callable[[], object], rounds: int = 1) -> float:
    """Return the least CPU seconds of some rounds."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def checking(path: Path) -> float:
    """Print what the checksums of a video cost; return their share of decoding it."""
    with opened(path) as (container, stream):
        start = checksum_start(stream.codec_context.name, stream.codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    assert start is not None
    check = seconds(lambda: [slices_hold(packet, start) for packet in packets], ROUNDS)
    clip = open_video(path)
    decode = seconds(lambda: [None for _ in clip], ROUNDS)
    told = f"{1000 * check / len(clip):.2f} of {1000 * decode / len(clip):.1f} ms a frame"
    print(f"FFV1 {SIZE[1]}x{SIZE[0]}: checksums {told}, {100 * check / decode:.1f} %", flush=True)
    return check / decode


def surveying(folder: Path) -> float:
    """Print what a first and a later start take; return the ratio."""
    for path in folder.glob("*.mkv"):
        cache_clip(path, cache_folder(path, folder, None))
    first, later = (
        seconds(lambda: SnowPairs([folder], preset("moderate"), frames=3, crop=64, motion="auto"))
        for _ in range(2)
    )
    told = f"{1000 * first / CLIPS:.0f} ms a clip at the first start, {1000 * later / CLIPS:.1f}"
    print(f"survey of {FRAMES} frames: {told} at a later one, {100 * later / first:.1f} %")
    return later / first


def main() -> int:
    """Print two lines; return 1 if a target is missed."""
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        folder = Path(name)
        for number in range(CLIPS):
            clip = render_street(FRAMES, SIZE, 25.0, 8.0, number)
            write_ffv1(folder / f"{number}.mkv", clip, fps=25)
        kept = checking(folder / "0.mkv") <= MOST_CHECKING
        kept &= surveying(folder) <= MOST_READING
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
