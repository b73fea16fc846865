"""Measure the peak memory of NIMA and MUSIQ on one frame, with random weights, size by size.

Each frame is scored in a process of its own on one thread, whose peak resident memory is read;
weights that mean nothing take the time and the memory of those that do. "pyiqa" is its own way
through MUSIQ, not tried on the largest frame, for which it would need several times as much. The
target: a frame of 3840 x 2160 takes at most 1,500 MB, of which importing pyiqa and torch takes the
larger part.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))
TARGET_MB = 1500.0


def measure(*words: object) -> tuple[float, float]:
    """Score one frame in a new process; return its peak memory in MB and the CPU seconds."""
    command = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak_mb, seconds = done.stdout.split()[-2:]
    return float(peak_mb), float(seconds)


def score(name: str, width: int, height: int) -> None:
    """Score a frame of noise here; print the peak memory in MB and the CPU seconds it took."""
    import torch

    from rvsd_bench.metrics.card import CARDS
    from rvsd_bench.metrics.noreference import NETWORKS, NoReference
    from rvsd_bench.seeds import stream

    torch.set_num_threads(1)
    network = NETWORKS["musiq" if name == "pyiqa" else name]()
    if name == "pyiqa":
        from pyiqa.archs.musiq_arch import MUSIQ

        network = MUSIQ(pretrained=False, num_class=1)
    metric = NoReference(network.eval(), CARDS["musiq" if name == "pyiqa" else name])
    frame = stream("memory_noreference").integers(0, 256, (height, width, 3), "uint8")
    begin = time.process_time()
    if width:
        metric.score(frame)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    print(peak_mb, time.process_time() - begin)


def main() -> int:
    """Print the table; return 1 if the target is missed."""
    largest = 0.0
    for name in ("nima", "musiq", "pyiqa"):
        print(f"{name:5} {'no frame':>11}: {measure(name, 0, 0)[0]:6.0f} MB at most")
        for width, height in SIZES[:2] if name == "pyiqa" else SIZES:
            peak_mb, seconds = measure(name, width, height)
            largest = max(largest, peak_mb if name != "pyiqa" else 0.0)
            size = f"{width} x {height}"
            print(f"{name:5} {size:>11}: {peak_mb:6.0f} MB at most, {seconds:5.1f} s of CPU")
    print(f"target: nima and musiq at most {TARGET_MB:.0f} MB")
    return int(largest > TARGET_MB)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        score(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        sys.exit()
    sys.exit(main())
