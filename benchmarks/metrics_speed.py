"""Time PSNR, SSIM and LPIPS of 1280 x 720 frames against pyiqa's, on one thread of this machine.

Both score the same frames in turn, after one frame to warm up, and CPU time is taken, so that a
busy machine favours neither. "prepared" is a further model on a clean frame whose share of the work
is done. The target: the three together take at most a fifth of pyiqa's time, and no value differs
by more than 1e-4.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch

from rvsd_bench.clip import Frame
from rvsd_bench.errors import MissingError
from rvsd_bench.metrics import Metric, open_metric
from rvsd_bench.seeds import stream

SIZE = (720, 1280)
FRAMES = 4
TARGET = 5.0


def pair(index: int) -> tuple[Frame, Frame]:
    """Return a smooth random picture and the same with small bright spots on it."""
    height, width = SIZE
    coarse = stream("metrics_speed", index, 0).random((height // 8, width // 8, 3), np.float32)
    clean = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    spots = cv2.GaussianBlur(
        (stream("metrics_speed", index, 1).random(SIZE, np.float32) > 0.999).astype(np.float32),
        (7, 7),
        1.5,
    )
    snowy = np.clip(clean + 8 * spots[..., None], 0, 1)
    return (clean * 255).astype(np.uint8), (snowy * 255).astype(np.uint8)


def milliseconds(work: Callable[[], float]) -> tuple[float, float]:
    """Return the CPU time of a piece of work, and its result."""
    begin = time.process_time()
    value = work()
    return 1000 * (time.process_time() - begin), value


def measure(name: str, pairs: Sequence[tuple[Frame, Frame]]) -> tuple[float, float, float]:
    """Print a line for one metric; return the times of pyiqa, of ours, and of ours prepared."""
    own, other = open_metric(name), open_metric(name, backend="pyiqa")
    times = []
    difference = 0.0
    for clean, snowy in (pairs[0], *pairs):
        theirs_ms, theirs = milliseconds(partial(whole, other, clean, snowy))
        ours_ms, ours = milliseconds(partial(whole, own, clean, snowy))
        prepared_ms, _ = milliseconds(partial(own.score, snowy, own.prepare(clean)))
        times.append((theirs_ms, ours_ms, prepared_ms))
        difference = max(difference, abs(theirs - ours))
    mean = tuple(sum(column) / len(pairs) for column in zip(*times[1:]))
    line(name, *mean, note=f"differs by {difference:.1e}")
    if difference > 1e-4:
        sys.exit(f"{name} differs from pyiqa's by more than 1e-4")
    return mean


def whole(metric: Metric, clean: Frame, snowy: Frame) -> float:
    """Score a frame, the share of the clean one included."""
    return metric.score(snowy, metric.prepare(clean))


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
    pairs = [pair(index) for index in range(FRAMES)]
    totals = [0.0, 0.0, 0.0]
    for name in ("psnr", "ssim", "lpips"):
        try:
            times = measure(name, pairs)
        except MissingError as error:
            print(f"{name:5}  left out: {str(error).splitlines()[0]}")
            continue
        totals = [total + time_ms for total, time_ms in zip(totals, times)]
    if not totals[0]:
        return print("nothing to compare with: pyiqa is not installed")
    ratio = totals[0] / totals[1]
    minutes = [1000 * total / 60_000 for total in totals[:2]]
    line("sum", *totals)
    print(
        f"1,000 frames: {minutes[1]:.1f} minutes of one core, pyiqa {minutes[0]:.1f}: "
        f"{ratio:.1f} times as fast; target: at least {TARGET:.0f}"
    )
    if ratio < TARGET:
        sys.exit(f"the sum is not {TARGET:.0f} times as fast as pyiqa's")
    return None


if __name__ == "__main__":
    main()
