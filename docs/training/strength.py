"""Find how strongly trained weights should take haze away, on clips that they did not learn from.

    python docs/training/strength.py run/checkpoint.safetensors FOOTAGE/tuning

Prints the mean PSNR over windows of the whole height, under `moderate` and under `mixed` snow, for
some strengths; `ship.py --strength` writes the best into the card.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from rvsd_bench.baselines import load
from rvsd_bench.baselines.svdnet.analysis import Analysis
from rvsd_bench.baselines.svdnet.physics import invert
from rvsd_bench.generators import SnowPairs, load_recipe, preset

STRENGTHS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
WINDOWS, SIDE = 28, 352


def psnr(restored: Tensor, clean: Tensor) -> float:
    """Return the PSNR of a clip in dB, rounded to 8 bits first."""
    error = (restored.clamp(0, 1) * 255).round() / 255 - clean
    return float(-10 * error.square().mean().log10())


def weaker(frames: Tensor, found: Analysis, strength: float) -> Tensor:
    """Return what the network would restore if it took that share of the haze away."""
    transmission = 1 - strength * (1 - found.transmission)
    inverted = invert(frames, found.snow, transmission, found.light).clamp(-1, 2)
    return inverted + found.restored - found.inverted


def main(weights: str, footage: str) -> None:
    """Print the mean PSNR of the input and of each strength, for both kinds of snow."""
    network = load(f"svdnet?weights={weights}&strength=1")
    for name, snow in {"moderate": preset("moderate"), "mixed": load_recipe("mixed.toml")}.items():
        pairs = SnowPairs([footage], snow, frames=3, crop=SIDE, seed=911, per_snowfall=1)
        scores: dict[float | str, list[float]] = {}
        for number in range(WINDOWS):
            frames, clean = (pairs[number][side][None] for side in ("snowy", "clean"))
            with torch.no_grad():
                found = network.analyse(frames)
            scores.setdefault("input", []).append(psnr(frames, clean))
            for strength in STRENGTHS:
                restored = weaker(frames, found, strength)
                scores.setdefault(strength, []).append(psnr(restored, clean))
        means = (f"{key} {sum(each) / WINDOWS:.2f}" for key, each in scores.items())
        print(f"{name}, {WINDOWS} windows, dB: {', '.join(means)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
