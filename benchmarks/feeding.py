"""Measure what feeding training costs: samples per second of a core, and the share of a step.

    python benchmarks/feeding.py [FOOTAGE] [SNOW ...]

FOOTAGE is a folder of clean clips; without, our rendered street is filmed. SNOW are presets or
recipes (`moderate` and `rvsd_like.toml` if none is named). One process, CPU time, feeding and
learning by turns, so that what else runs slows both. The step is that of `svdnet?preset=lite` with
8 windows of 3 frames. The target: feeding takes at most a tenth of a core that does both.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import sys
import tempfile
import time
from pathlib import Path

import torch

from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.video_writing import write_ffv1
from rvsd_bench.training.feeding import SampledFeed, open_feed
from rvsd_bench.training.networks import open_network
from rvsd_bench.training.recipe import Data, TrainingRecipe

STEPS, LEARNED_EVERY = 64, 8
TARGET = 0.1


def measure(feed: SampledFeed, network: torch.nn.Module) -> tuple[float, float]:
    """Return the seconds of CPU that feeding and learning take in a step."""
    optimiser = torch.optim.AdamW(network.parameters())
    feed.batch(0)  # the first snowfalls begin together
    fed, learned = 0.0, []
    for step in range(1, STEPS + 1):
        begun = time.process_time()
        batch = feed.batch(step)
        fed += time.process_time() - begun
        if step % LEARNED_EVERY == 0:
            begun = time.process_time()
            (network(batch.snowy) - batch.clean).abs().mean().backward()
            optimiser.step()
            optimiser.zero_grad()
            learned.append(time.process_time() - begun)
    return fed / STEPS, sorted(learned)[len(learned) // 2]


def film(folder: Path) -> Path:
    """Write two drives down our street."""
    for seed in (1, 2):
        write_ffv1(folder / f"{seed}.mkv", render_street(12, seed=seed), 25.0)
    return folder


def main() -> None:
    """Print a line for each snow and size of crops."""
    torch.set_num_threads(1)
    snows = sys.argv[2:] or ["moderate", "rvsd_like.toml"]
    with tempfile.TemporaryDirectory() as scratch:
        footage = Path(sys.argv[1]) if len(sys.argv) > 1 else film(Path(scratch))
        print("snow            crop   samples/s   feeding ms   step ms   share")
        for snow in snows:
            for crop in (64, 96, 128):
                recipe = TrainingRecipe(
                    "svdnet", 1, preset="lite", batch=8, frames=3, crop=crop,
                    losses={"charbonnier": 1.0}, data=Data(snow),
                )  # fmt: skip
                begun = time.process_time()
                feed = open_feed(footage, recipe, cache=Path(scratch))
                opened = time.process_time() - begun
                fed, learned = measure(feed, open_network(recipe, None))
                share = fed / (fed + learned)
                missed = "" if share <= TARGET else "MISSED "
                print(
                    f"{snow:15} {crop:4} {8 / fed:11.0f} {1e3 * fed:12.1f} {1e3 * learned:9.0f} "
                    f"{share:7.1%} {missed} (opened in {opened:.0f} s)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
