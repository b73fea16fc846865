"""Measure how much more memory `evaluate` takes for a long clip than for a short one.

Each clip is scored in a process of its own, whose peak resident memory is read. The target: 2,000
frames take at most 100 MB more than 100 frames, for no list of frames is ever held.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from rvsd_bench.media.images import write_png
from rvsd_bench.seeds import stream

SIZE = (120, 160)
LENGTHS = (100, 2000)
TARGET_MB = 100.0


def make_dataset(root: Path, frames: int) -> None:
    """Write one paired clip of noise, so that nothing compresses or repeats."""
    for side in ("clean", "snow"):
        folder = root / "test" / side / "00000"
        folder.mkdir(parents=True)
        for index in range(frames):
            values = stream("memory_evaluate", side, index).random((*SIZE, 3))
            write_png(folder / f"{index:05d}.png", (values * 255).astype("uint8"))


def peak_mb(root: Path) -> float:
    """Score a dataset in a new process and return its peak resident memory."""
    done = subprocess.run(
        [sys.executable, __file__, str(root)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def score(root: Path) -> None:
    """Score a dataset here and print the peak resident memory in MB."""
    from rvsd_bench.evaluation.evaluating import evaluate

    evaluate(["identity", "median"], root, out=root / "run", metrics=["psnr", "ssim"])
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def main() -> int:
    """Print the table; return 1 if the target is missed."""
    peaks = []
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as folder:
        for frames in LENGTHS:
            root = Path(folder) / str(frames)
            make_dataset(root, frames)
            peaks.append(peak_mb(root))
            print(f"{frames:6} frames of {SIZE[1]}x{SIZE[0]}: {peaks[-1]:7.1f} MB at most")
    more = peaks[-1] - peaks[0]
    print(f"{more:.1f} MB more; target: at most {TARGET_MB:.0f}")
    return int(more > TARGET_MB)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        score(Path(sys.argv[1]))
        sys.exit()
    sys.exit(main())
