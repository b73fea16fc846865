"""Measure how much more memory `generate` takes for a long clip than for a short one.

Each clip, once a folder of frames and once a video file, is generated in a process of its own,
whose peak resident memory is read. The target: 2,000 frames take at most 100 MB more than 100.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.media.images import write_png
from rvsd_bench.media.video import write_ffv1

SIZE = (72, 96)
LENGTHS = (100, 2000)
TARGET_MB = 100.0


def frames(count: int) -> Iterator[Frame]:
    """Yield a sky over a road, with a bar that moves."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    street = np.stack([x + 60, y + 90, 220 - 2 * y], axis=-1).astype(np.uint8)
    for index in range(count):
        frame = street.copy()
        frame[30:50, index % SIZE[1] :][:, :5] = 250
        yield frame


def make_clip(folder: Path, kind: str, count: int) -> Path:
    """Write a clip of so many frames as a folder or as a file."""
    if kind == "file":
        path = folder / f"{count}.mkv"
        write_ffv1(path, frames(count), fps=25)
        return path
    path = folder / str(count)
    path.mkdir()
    for index, frame in enumerate(frames(count)):
        write_png(path / f"{index}.png", frame)
    return path


def peak_mb(clip: Path, out: Path) -> float:
    """Generate a dataset in a new process and return its peak resident memory."""
    words = ["generate", str(clip), "--out", str(out), "--preset", "light"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rvsd_bench", *words], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"generate ended with {process.returncode} on {clip}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return float(usage.ru_maxrss) * unit / 1e6


def main() -> int:
    """Print the table; return 1 if the target is missed."""
    missed = False
    for kind in ("folder", "file"):
        peaks = []
        with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
            for count in LENGTHS:
                clip = make_clip(Path(name), kind, count)
                peaks.append(peak_mb(clip, Path(name) / f"out{count}"))
                print(f"{kind:6} {count:6} frames of {SIZE[1]}x{SIZE[0]}: {peaks[-1]:7.1f} MB")
        more = peaks[-1] - peaks[0]
        missed |= more > TARGET_MB
        print(f"{kind:6} {more:.1f} MB more; target: at most {TARGET_MB:.0f}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
