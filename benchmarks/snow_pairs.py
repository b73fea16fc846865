"""Measure how many samples of 5 x 256 x 256 pixels a core serves to training, and where time goes.

Samples are cut from our rendered street at 1280 x 720, decoded beforehand: one process, CPU time.
To begin a snowfall is measured by itself and shared out over the samples that it serves. The
target: at least 20 samples per second and core under the preset `moderate`.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rvsd_bench.generators import SnowPairs, pairs, preset, rendering, snowfall
from rvsd_bench.generators.dust import Dust
from rvsd_bench.generators.flight import Flight
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.video import write_ffv1

PRESETS = ("light", "moderate", "heavy", "blizzard")
SAMPLES, PER_SNOWFALL, SNOWFALLS = 24, 32, 2
TARGET_PER_S = 20.0
STEPS: tuple[tuple[str, Any, str], ...] = (
    ("find the crop's flakes", Flight, "narrowed"),
    ("place them, each frame", Flight, "seen"),
    ("draw them", snowfall, "splat"),
    ("grain", Dust, "draw"),
    ("haze, drifting", snowfall.Snowfall, "air"),
    ("compose", rendering, "compose"),
    ("to tensors", pairs, "_tensors"),
)


def clock(place: Any, name: str, spent: dict[str, float]) -> Callable[[], None]:
    """Add the CPU time of a function to `spent`; return what undoes this."""
    function = getattr(place, name)

    def measured(*args: Any, **kwargs: Any) -> Any:
        begun = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.process_time() - begun

    setattr(place, name, measured)
    return lambda: setattr(place, name, function)


def measure(served: SnowPairs) -> tuple[float, float, dict[str, float]]:
    """Return CPU times in ms: of a sample, of a snowfall's beginning, of the steps of a sample."""
    spent: dict[str, float] = defaultdict(float)
    begun = time.process_time()
    for index in range(SNOWFALLS):
        served[index]
    start = time.process_time() - begun
    undo = [clock(place, name, spent) for _, place, name in STEPS]
    begun = time.process_time()
    for index in range(SNOWFALLS, SNOWFALLS + SAMPLES):
        served[index]
    sample = (time.process_time() - begun) / SAMPLES
    for restore in undo:
        restore()
    steps = {step: 1000 * spent[name] / SAMPLES for step, _, name in STEPS}
    return 1000 * sample, 1000 * max(start / SNOWFALLS - sample, 0.0), steps


def main() -> int:
    """Print the tables; return 1 if the target is missed."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        street = Path(name) / "street.mkv"
        write_ffv1(street, render_street(12, (720, 1280)), fps=25)
        rates = {name: report(name, street) for name in PRESETS}
    met = rates["moderate"] >= TARGET_PER_S
    print(f"moderate: {rates['moderate']:.1f} samples/s and core; target {TARGET_PER_S:g}")
    return int(not met)


def report(name: str, clip: Path) -> float:
    """Print where the time of a sample goes under a preset; return the samples per second."""

    def fresh(seed: int) -> SnowPairs:
        # No stagger and long snowfalls: none begins while samples are timed.
        settings: dict[str, Any] = {"per_snowfall": 10_000, "snowfalls": SNOWFALLS}
        return SnowPairs([clip], preset(name), frames=5, seed=seed, motion="drive:30", **settings)

    fresh(0)[0]  # compiles
    sample, begin, steps = measure(fresh(1))
    total = sample + begin / PER_SNOWFALL
    print(f"{name:9} {1000 / total:6.1f} samples/s and core: {total:.1f} ms a sample")
    print(f"  {'begin a snowfall':24} {begin:7.1f} ms, for {PER_SNOWFALL} samples")
    for step, cost in steps.items():
        print(f"  {step:24} {cost:7.1f} ms")
    print(f"  {'all else':24} {sample - sum(steps.values()):7.1f} ms", flush=True)
    return 1000 / total


if __name__ == "__main__":
    sys.exit(main())
