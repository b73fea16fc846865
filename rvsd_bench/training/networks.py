"""Put the network of a recipe together, born from the recipe's seed or from given weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.loading import load
from rvsd_bench.baselines.spec import Spec
from rvsd_bench.errors import InputError
from rvsd_bench.training.recipe import TrainingRecipe


def open_network(recipe: TrainingRecipe, weights: Path | None = None) -> nn.Module:
    """Return the network to train, on the CPU; `weights` are what it starts from.

    Without them its weights are drawn from the recipe's seed, whatever comes with the package.
    Raises InputError for a baseline that has nothing to learn, and for a crop that the network
    cannot take.
    """
    options = {name: _text(value) for name, value in recipe.network.items()}
    if recipe.preset != "default":
        options = {"preset": recipe.preset, **options}
    if weights is not None:
        options["weights"] = str(weights)
    spec = Spec("name", recipe.baseline, options)
    network = load(spec)
    if weights is None and network.info.weights is not None:  # those that come with the package
        network = load(replace(spec, options={**options, "weights": "none"}))
    if not isinstance(network, nn.Module) or not any(p.numel() for p in network.parameters()):
        raise InputError(f"{recipe.baseline} has no weights that could be trained")
    _check_crop(recipe, network.info)
    given = weights is not None or any(name.endswith("weights") for name in options)
    return network if given else _born(network, recipe.seed)


def facts_of(network: nn.Module) -> dict[str, Any]:
    """Return what `assembling.assemble` needs in a checkpoint's card to build this network."""
    info: ModelInfo = network.info  # type: ignore[assignment]
    config = getattr(network, "config", None)
    return {} if config is None else {"config": asdict(config), "preset": info.facts["preset"]}


def count_weights(network: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(p.numel() for p in network.parameters())


def _born(network: nn.Module, seed: int) -> nn.Module:
    """Return a new network like this one, where its class is built from its `config`."""
    config = getattr(network, "config", None)
    if config is None:
        return network
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        born = type(network)(config)
    born.__dict__["info"] = network.info  # past torch's own attributes, as `assemble` does
    return born


def _check_crop(recipe: TrainingRecipe, info: ModelInfo) -> None:
    if recipe.crop % info.multiple or recipe.crop < info.min_size:
        raise InputError(
            f"crop is {recipe.crop}: {recipe.baseline} needs a multiple of {info.multiple}, "
            f"{info.min_size} or more"
        )


def _text(value: Any) -> str:
    """Return a configuration's value as an option of a spec would have it."""
    if isinstance(value, Mapping):
        raise InputError("network: a field of a configuration is no table")
    return ",".join(map(_text, value)) if isinstance(value, (list, tuple)) else str(value)
