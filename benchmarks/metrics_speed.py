"""Time PSNR, SSIM and LPIPS of one 1280 x 720 pair against pyiqa's, on one thread of this machine.

The time is CPU time, the best of some runs after one to warm up, so that a busy machine changes it
little. "prepared" is a further model on a clean frame whose share of the work is done. The target:
the three together take at most a fifth of pyiqa's time, and each differs by at most 1e-4.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch

from rvsd_bench.clip import Frame
from rvsd_bench.errors import MissingError
from rvsd_bench.metrics import Metric, open_metric
from rvsd_bench.seeds import stream

SIZE = (720, 1280)
TARGET = 5.0


def pair() -> tuple[Frame, Frame]:
    """Return a smooth random picture and the same with small bright spots on it."""
    height, width = SIZE
    coarse = stream("metrics_speed", 0).random((height // 8, width // 8, 3), np.float32)
    clean = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    spots = cv2.GaussianBlur(
        (stream("metrics_speed", 1).random(SIZE, np.float32) > 0.999).astype(np.float32),
        (7, 7),
        1.5,
    )
    snowy = np.clip(clean + 8 * spots[..., None], 0, 1)
    return (clean * 255).astype(np.uint8), (snowy * 255).astype(np.uint8)


def milliseconds(work: Callable[[], object], runs: int) -> float:
    """Return the CPU time of the fastest of some runs."""
    work()
    times = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return 1000 * min(times)


def measure(name: str, clean: Frame, snowy: Frame) -> tuple[float, float, float]:
    """Print a line for one metric; return the times of pyiqa, of ours, and of ours prepared."""
    own, other = open_metric(name), open_metric(name, backend="pyiqa")
    prepared, witness = own.prepare(clean), other.prepare(clean)
    difference = abs(own.score(snowy, prepared) - other.score(snowy, witness))

    def whole(metric: Metric) -> Callable[[], object]:
        return lambda: metric.score(snowy, metric.prepare(clean))

    times = (
        milliseconds(whole(other), 3),
        milliseconds(whole(own), 5),
        milliseconds(lambda: own.score(snowy, prepared), 5),
    )
    line(name, *times, note=f"differs by {difference:.1e}")
    if difference > 1e-4:
        sys.exit(f"{name} differs from pyiqa's by more than 1e-4")
    return times


def line(name: str, other: float, own: float, prepared: float, note: str = "") -> None:
    """Print the times and ratios of one metric."""
    print(
        f"{name:5}  pyiqa {other:7.1f} ms   ours {own:6.1f} ms ({other / own:6.1f}x)   "
        f"prepared {prepared:6.1f} ms ({other / prepared:6.1f}x)   {note}"
    )


def main() -> None:
    """Time the metrics whose weights are here, and their sum."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    clean, snowy = pair()
    totals = [0.0, 0.0, 0.0]
    for name in ("psnr", "ssim", "lpips"):
        try:
            times = measure(name, clean, snowy)
        except MissingError as error:
            print(f"{name:5}  left out: {str(error).splitlines()[0]}")
            continue
        totals = [total + time_ms for total, time_ms in zip(totals, times)]
    if not totals[0]:
        return print("nothing to compare with: pyiqa is not installed")
    line("sum", *totals)
    if totals[0] < TARGET * totals[1]:
        sys.exit(f"the sum is not {TARGET:.0f} times as fast as pyiqa's")
    return None


if __name__ == "__main__":
    main()
