"""Measure how much more memory a clip of 10,000 frames takes than one of 100.

`generate`, `restore` and `evaluate` each run in a process of their own, whose peak resident memory
is read: nothing may hold a list of frames. The promise: at most 300 MB more.

    python benchmarks/reliability/long_clip.py [--frames 10000] [--size WxH] [--commands restore]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from trees import command, environment

from rvsd_bench.clip import Frame
from rvsd_bench.media.video_writing import write_ffv1

SHORT = 100
MORE_MB = 300.0
COMMANDS = ("generate", "restore", "evaluate")


def frames(count: int, size: tuple[int, int]) -> Iterator[Frame]:
    """Yield a sky over a road, with a bar that moves, in frames of (height, width)."""
    y, x = np.mgrid[: size[0], : size[1]]
    street = np.stack([x % 100 + 60, y % 90 + 90, 220 - y % 180], axis=-1).astype(np.uint8)
    for index in range(count):
        frame = street.copy()
        frame[size[0] // 2 :, index % size[1] :][:, :5] = 250
        yield frame


def make_data(home: Path, count: int, size: tuple[int, int]) -> None:
    """Write a clip, and a paired dataset of one video, as lossless video files."""
    write_ffv1(home / "clip.mkv", frames(count, size), 25)
    for side in ("clean", "snow"):
        (home / "data" / "test" / side).mkdir(parents=True)
        shutil.copyfile(home / "clip.mkv", home / "data" / "test" / side / "00000.mkv")


def words_of(name: str, home: Path) -> list[str]:
    """Return a command that goes through the clip."""
    out = ("--out", home / name)
    if name == "generate":
        return command("generate", home / "clip.mkv", *out, "--preset", "light", "--depth",
                       "ground", "--motion", "static", "--container", "ffv1")  # fmt: skip
    if name == "restore":
        return command("restore", "median", home / "clip.mkv", *out, "--container", "ffv1")
    return command("evaluate", "identity", "--data", home / "data", *out, "--metrics", "psnr,ssim")


def peak_mb(words: list[str]) -> float:
    """Run a command in a new process and return its peak resident memory."""
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               env=environment())  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return float(usage.ru_maxrss) * unit / 1e6


def growth_mb(name: str, count: int, size: tuple[int, int]) -> float:
    """Print what a command takes for clips of two lengths; return how much more for the longer."""
    peaks = []
    for length in (SHORT, count):
        with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as folder:
            make_data(Path(folder), length, size)
            began = time.perf_counter()
            peaks.append(peak_mb(words_of(name, Path(folder))))
            took = time.perf_counter() - began
        print(
            f"{name:9} {length:6} frames of {size[1]}x{size[0]}: {peaks[-1]:6.0f} MB, {took:.0f} s",
            flush=True,
        )
    return peaks[1] - peaks[0]


def main() -> int:
    """Print the table; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--size", default="640x272", help="width x height")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="comma-separated")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    missed = False
    for name in given.commands.split(","):
        more = growth_mb(name, given.frames, (height, width))
        missed |= more > MORE_MB
        print(f"{name:9} {more:+.0f} MB more; promise: at most {MORE_MB:.0f}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
