"""Hold the weights in the package to what is said of them: small, described, and worth having."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvsd_bench.baselines import load, svdnet
from rvsd_bench.baselines.checkpoints import read_card
from rvsd_bench.generators import preset, render
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.training.networks import open_network
from rvsd_bench.training.resolving import resolve

WEIGHTS = svdnet.SHIPPED / "lite.safetensors"
UNSEEN = 4711
"""The seed of a street; those that were trained on have small ones."""


def _psnr(restored: NDArray[np.float64], clean: NDArray[np.float64]) -> float:
    return float(-10 * np.log10(np.square(restored - clean).mean()))


def test_the_weights_are_small_and_their_card_says_where_they_come_from() -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
    card = read_card(WEIGHTS)
    assert card["baseline"] == "svdnet" and card["preset"] == "lite"
    assert {"seed", "steps", "hardware", "wall_s", "weights_licence", "recipe_sha256"} <= set(card)
    assert set(card["results"]) == {"moderate", "mixed", "snow"}
    assert 0 < card["config"]["strength"] <= 1
    roles = {source["role"] for source in card["data"]}
    assert roles == {"train", "held out"}
    assert str(Path.home()) not in json.dumps(card)


def test_options_that_change_no_shape_leave_the_preset_trained() -> None:
    network: Any = load("svdnet?preset=lite")
    assert network.info.trained and network.info.weights == "lite.safetensors"
    assert network.info.weights_licence == "Apache-2.0"
    assert network.config.strength == read_card(WEIGHTS)["config"]["strength"] < 1
    full: Any = load("svdnet?preset=lite&strength=1")
    assert full.info.trained and full.config.strength == 1
    assert torch.equal(full.merge[0].weight, network.merge[0].weight)
    other: Any = load("svdnet?preset=lite&channels=16")
    assert not other.info.trained and other.config.strength == 1


def test_without_them_it_is_as_it_was_born_and_so_training_begins() -> None:
    born: Any = load("svdnet?preset=lite&weights=none")
    assert not born.info.trained and born.config == svdnet.PRESETS["lite"]
    begun: Any = open_network(resolve("svdnet?preset=lite", "cpu"))
    assert begun.config == svdnet.PRESETS["lite"]
    assert float(begun.decouple_snow.conv.weight.abs().max()) == 0


@pytest.mark.parametrize("snow", ["moderate", "heavy"])
def test_a_street_that_it_never_saw_comes_out_clearer_than_it_went_in(snow: str) -> None:
    street = render_street(3, (180, 320), 25.0, 8.0, UNSEEN, "street")
    frames = list(render(street, preset(snow), seed=5))
    snowy, clean = (
        np.stack([getattr(frame, side) for frame in frames]) / 255 for side in ("snowy", "clean")
    )
    clip = torch.from_numpy(snowy).float().permute(0, 3, 1, 2)[None]
    with torch.no_grad():
        restored = load("svdnet?preset=lite")(clip)[0].permute(0, 2, 3, 1).clamp(0, 1)
    before, after = _psnr(snowy, clean), _psnr(restored.double().numpy(), clean)
    assert after > before + 0.5, (before, after)
    z = np.stack([frame.z16 for frame in frames]) / 65535 > 0.1
    assert _psnr(restored.double().numpy()[z], clean[z]) > _psnr(snowy[z], clean[z]) + 1
