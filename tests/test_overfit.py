"""Hold the smallest network and its recipe to learning one clip by heart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators import preset, render
from rvsd_bench.generators.layers import network_layers
from rvsd_bench.training.batches import Batch, Layers
from rvsd_bench.training.networks import open_network
from rvsd_bench.training.objectives import module_of, open_objective
from rvsd_bench.training.recipe import Ema
from rvsd_bench.training.resolving import resolve
from rvsd_bench.training.stepping import Stepper
from rvsd_bench.training.validating import psnr
from rvsd_bench.training.weighing import weigh

SIZE, FRAMES, STEPS = 64, 3, 120


def _window() -> Batch:
    """Return one window of tiles that pan, under heavy snow, with its layers."""
    tiles = np.random.default_rng(0).integers(60, 180, (12, 12, 3)).astype(np.uint8)
    wide = np.kron(tiles, np.ones((8, 8, 1), np.uint8))
    clip = ArrayClip(np.stack([wide[i : i + SIZE, 2 * i : 2 * i + SIZE] for i in range(FRAMES)]))
    frames = list(render(clip, preset("heavy"), seed=1, depth="constant:20", motion="static"))
    parts = [network_layers(frame) for frame in frames]

    def stacked(arrays: list[np.ndarray]) -> torch.Tensor:
        whole = [np.broadcast_to(a, (SIZE, SIZE, a.shape[-1])) for a in arrays]
        return torch.from_numpy(np.stack(whole)).permute(0, 3, 1, 2).float()[None]

    layers = Layers(*(stacked([getattr(part, name) for part in parts]) for name in "STAz"))
    snowy, clean = (
        stacked([getattr(f, name) for f in frames]) / 255 for name in ("snowy", "clean")
    )
    return Batch(snowy, clean, layers, (0,))


@pytest.mark.slow
def test_one_clip_is_learned_by_heart() -> None:
    window = _window()
    recipe = resolve("svdnet?preset=lite", "cpu", steps=STEPS)
    warm = replace(recipe.schedule, warm_up=10)  # the others are those of thousands of steps
    recipe = replace(recipe, features="none", ema=Ema(0.9), schedule=warm)
    module = module_of("svdnet")
    weighing = weigh(recipe, module, unlabelled=False)
    objective = open_objective(module, weighing.weights, None, recipe.settings)
    stepper = Stepper(open_network(recipe), objective, recipe)

    def decibels() -> float:
        with torch.no_grad():
            return psnr(stepper.average.network(window.snowy), window.clean)

    before, untrained = psnr(window.snowy, window.clean), decibels()
    for step in range(STEPS):
        assert stepper.step(window, step).culprit is None
    assert abs(untrained - before) < 4
    assert decibels() > before + 8
