"""Time `generate` against what a pair costs with no snow at all: two PNG files per decoded frame.

The clip is our rendered street, enlarged, as an H.264 file; the camera drives, which takes longer
than one that stands, and the preset is moderate.
All runs in one process on one thread, with its kernels compiled and loaded beforehand; the time is
CPU time per frame, the preparation of the clip included. The target: without layers `generate`
makes frames at no less than half the rate of the floor. With layers it is only told.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.jobs import THREADS
from rvsd_bench.making.generating import generate
from rvsd_bench.media.images import encode_png
from rvsd_bench.media.reading import read_clip
from rvsd_bench.media.video import write_preview

SIZES = ((720, 1280), (1080, 1920))
FRAMES = 50
TARGET = 0.5


def main() -> int:
    """Print the table; return 1 if the target is missed."""
    if any(os.environ.get(name) != "1" for name in THREADS):  # libraries read it as they start
        one = os.environ | dict.fromkeys(THREADS, "1")
        os.execve(sys.executable, [sys.executable, *sys.argv], one)
    cv2.setNumThreads(1)
    missed = False
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
            folder = Path(name)
            clip = folder / "street.mp4"
            write_preview(clip, street(size), fps=25)
            generate([clip], folder / "warm", max_frames=2)
            floor = milliseconds(write_twice, clip, folder)
            line(size, "decode, write twice", floor, floor)
            for layers in ("none", "png16"):
                ours = milliseconds(generate, [clip], folder / layers, layers=layers)
                line(size, f"generate --layers {layers}", ours, floor)
                missed |= layers == "none" and floor / ours < TARGET
    return int(missed)


def street(size: tuple[int, int]) -> Iterator[Frame]:
    """Yield a street at a size; rendered smaller, for that takes longer than all else here."""
    for frame in render_street(FRAMES, size=(360, 640)):
        yield cv2.resize(frame, size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def write_twice(clip: Path, folder: Path) -> None:
    """Decode a clip and write each frame as two PNG files, encoded twice, as a pair is."""
    for side in ("one", "other"):
        (folder / side).mkdir()
    for index, frame in enumerate(read_clip(clip)):
        for side in ("one", "other"):
            (folder / side / f"{index:04}.png").write_bytes(encode_png(frame))


def milliseconds(work: Callable[..., object], *given: Any, **options: Any) -> float:
    """Return the CPU time per frame, of user and system, of a job over the clip."""
    begin = time.process_time()
    work(*given, **options)
    return 1000 * (time.process_time() - begin) / FRAMES


def line(size: tuple[int, int], name: str, ms: float, floor: float) -> None:
    """Print the time of one job, and its rate over that of the floor."""
    told = f"{floor / ms:5.2f} of the rate of the floor"
    print(f"{size[1]}x{size[0]}  {name:24} {ms:7.1f} ms   {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
