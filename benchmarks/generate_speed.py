"""Time `generate` against what a pair costs with no snow at all: two PNG files per decoded frame.

The clips are our street, enlarged, as H.264 files of 100 frames, RVSD's usual length, once before a
camera that drives and once before one that stands; or those that are named on the command line. The
preset is moderate. All runs in one process on one thread, its kernels compiled and loaded
beforehand; CPU time and wall time are told per frame, and all that is done once per clip is in them
and told apart: in a longer clip it weighs less. The target: without layers `generate` makes frames
at no less than half the rate of the floor, by CPU time. With layers, for which `--layers` asks, it
is only told. The floor is timed over a quarter of a clip, so that all ends within three minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.generators import prepare, preset
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.jobs import THREADS
from rvsd_bench.making.generating import generate
from rvsd_bench.media.images import encode_png
from rvsd_bench.media.reading import read_clip
from rvsd_bench.media.video import write_preview

SIZES = ((720, 1280), (1080, 1920))
FRAMES, FLOOR_FRAMES = 100, 25
TARGET = 0.5


def main() -> int:
    """Print the table; return 1 if the target is missed."""
    if any(os.environ.get(name) != "1" for name in THREADS):  # libraries read it as they start
        one = os.environ | dict.fromkeys(THREADS, "1")
        os.execve(sys.executable, [sys.executable, *sys.argv], one)
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--layers", action="store_true", help="Also time `--layers png16`.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        clips = asked.clips or streets(Path(name))
        kinds = ("none", "png16") if asked.layers else ("none",)
        met = [compare(clip, Path(name) / f"made-{at}", kinds) for at, clip in enumerate(clips)]
    return int(not all(met))


def streets(folder: Path) -> list[Path]:
    """Write the streets, rendered smaller, for that takes longer than all else here."""
    clips = []
    driving = list(render_street(FRAMES, size=(360, 640)))
    for kind, small in (("driving", driving), ("standing", driving[:1] * FRAMES)):
        for height, width in SIZES:
            clips.append(folder / f"{kind}-{width}x{height}.mp4")
            write_preview(clips[-1], enlarged(small, (width, height)), fps=25)
    return clips


def enlarged(frames: list[Frame], size: tuple[int, int]) -> Iterator[Frame]:
    """Yield frames at a size, (width, height)."""
    for frame in frames:
        yield cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def compare(clip: Path, folder: Path, kinds: tuple[str, ...]) -> bool:
    """Print the times of one clip, and return whether it meets the target."""
    generate([clip], folder / "warm", max_frames=2, motion="drive:50")
    count = len(read_clip(clip))
    width, height = reversed(read_clip(clip).size)
    print(f"{clip.stem}: {count} frames, {width}x{height}", flush=True)
    some = min(count, FLOOR_FRAMES)
    floor = scaled(timed(write_twice, clip, folder, some), count / some)
    tell("decode, write twice", floor, floor, count)
    tell("once per clip", timed(prepare, read_clip(clip), preset("moderate"), seed=0), None, count)
    met = True
    for layers in kinds:
        ours = timed(generate, [clip], folder / layers, layers=layers)
        tell(f"generate --layers {layers}", ours, floor, count)
        met &= layers != "none" or floor[0] / ours[0] >= TARGET
    shutil.rmtree(folder)
    return met


def write_twice(clip: Path, folder: Path, count: int) -> None:
    """Decode a clip's first frames and write each as two PNG files, encoded twice, as a pair is."""
    for side in ("one", "other"):
        (folder / side).mkdir()
    for index, frame in enumerate(read_clip(clip, stop=count)):
        for side in ("one", "other"):
            (folder / side / f"{index:04}.png").write_bytes(encode_png(frame))


def timed(work: Callable[..., object], *given: Any, **options: Any) -> tuple[float, float]:
    """Return the CPU time, of user and system, and the wall time of some work, in seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work(*given, **options)
    return time.process_time() - cpu, time.perf_counter() - wall


def scaled(took: tuple[float, float], by: float) -> tuple[float, float]:
    """Return times as they are for so many times as much."""
    return took[0] * by, took[1] * by


def tell(
    name: str, took: tuple[float, float], floor: tuple[float, float] | None, count: int
) -> None:
    """Print milliseconds per frame, and the rates by CPU and by wall time over the floor's."""
    cpu, wall = (1000 * seconds / count for seconds in took)
    rates = ""
    if floor:
        by_cpu, by_wall = (one / other for one, other in zip(floor, took, strict=True))
        rates = f"   rate over the floor's {by_cpu:.2f} (wall {by_wall:.2f})"
    print(f"  {name:24} {cpu:7.1f} ms CPU {wall:7.1f} ms wall{rates}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
