"""Measure the memory that `evaluate` takes: for a long clip beside a short one, and for a worker.

Each run is made in a process of its own, whose peak resident memory is read. The targets: 2,000
frames take at most 100 MB more than 100 frames, for no list of frames is ever held; and a process
that scores 1280x720 frames by PSNR, SSIM and LPIPS takes less than 1,200 MB, libraries and all.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from rvsd_bench.media.images import write_png
from rvsd_bench.seeds import stream
from rvsd_bench.weights.store import locate

SIZE = (120, 160)
LENGTHS = (100, 2000)
MORE_MB = 100.0
LARGE = (720, 1280)
WORKER_MB = 1200.0


def make_dataset(root: Path, frames: int, size: tuple[int, int]) -> None:
    """Write one paired clip of noise, so that nothing compresses or repeats."""
    for side in ("clean", "snow"):
        folder = root / "test" / side / "00000"
        folder.mkdir(parents=True)
        for index in range(frames):
            values = stream("memory_evaluate", side, index).random((*size, 3), "float32")
            write_png(folder / f"{index:05d}.png", (values * 255).astype("uint8"))


def peak_mb(root: Path, metrics: str) -> float:
    """Score a dataset in a new process and return its peak resident memory."""
    done = subprocess.run(
        [sys.executable, __file__, str(root), metrics], check=True, stdout=subprocess.PIPE
    )
    return float(done.stdout)


def score(root: Path, metrics: str) -> None:
    """Score a dataset here and print the peak resident memory in MB."""
    from rvsd_bench.evaluation.evaluating import evaluate

    evaluate(["identity", "median"], root, out=root / "run", metrics=metrics.split(","))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def of_long_clips(home: Path) -> bool:
    """Print what clips of two lengths take; tell whether the target is missed."""
    peaks = []
    for frames in LENGTHS:
        make_dataset(home / str(frames), frames, SIZE)
        peaks.append(peak_mb(home / str(frames), "psnr,ssim"))
        print(f"{frames:6} frames of {SIZE[1]}x{SIZE[0]}: {peaks[-1]:7.1f} MB at most")
    more = peaks[-1] - peaks[0]
    print(f"{more:.1f} MB more; target: at most {MORE_MB:.0f}")
    return more > MORE_MB


def of_a_worker(home: Path) -> bool:
    """Print what one process with all three metrics takes; tell whether the target is missed."""
    if locate("lpips") is None:
        print("a worker with LPIPS: left out, its weights are not here (weights fetch lpips)")
        return False
    make_dataset(home / "large", 4, LARGE)
    peak = peak_mb(home / "large", "psnr,ssim,lpips")
    print(f"a worker, {LARGE[1]}x{LARGE[0]}: {peak:.1f} MB; target: less than {WORKER_MB:.0f}")
    return peak >= WORKER_MB


def main() -> int:
    """Print both figures; return 1 if a target is missed."""
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as folder:
        missed = [of_long_clips(Path(folder)), of_a_worker(Path(folder))]
    return int(any(missed))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        score(Path(sys.argv[1]), sys.argv[2])
        sys.exit()
    sys.exit(main())
