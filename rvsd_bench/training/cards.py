"""Say in a checkpoint's card what its weights are and what they learned from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rvsd_bench.evaluation.environment import device_name, environment
from rvsd_bench.files import write_json
from rvsd_bench.training.batches import Feed
from rvsd_bench.training.networks import count_weights, facts_of
from rvsd_bench.training.recipe import TrainingRecipe
from rvsd_bench.training.resolving import digest
from rvsd_bench.training.saving import CARD
from rvsd_bench.training.weighing import Weighing


@dataclass
class Tally:
    """What a training has counted so far; it is saved and goes on from there."""

    step: int = 0
    """Steps that are done."""
    skipped: int = 0
    """Of them those that were passed over, for their gradient was not finite."""
    in_a_row: int = 0
    """Of those the ones just now."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Of the process that learns, without those that prepare batches."""
    seen: list[str] = field(default_factory=list)
    """The losses that were computed at least once."""
    validation: dict[str, float] = field(default_factory=dict)
    """The last verdict on held-out clips."""


def describe(
    recipe: TrainingRecipe,
    network: nn.Module,
    weighing: Weighing,
    feed: Feed,
    *,
    data: str,
    device: torch.device | str,
    world: int,
    started_from: str,
) -> dict[str, Any]:
    """Return what is known from the beginning; `assemble` finds `config` and `preset` in it."""
    learned = [source for source in feed.sources if source.role == "train"]
    snow = f", snow {Path(recipe.data.snow).name}" if feed.snow else ""
    return {
        "baseline": recipe.baseline,
        **facts_of(network),
        "parameters": count_weights(network),
        "trained_on": f"{len(learned)} clips of {data}{snow}",
        "weights_licence": recipe.licence,
        "recipe_sha256": digest(recipe),
        "train_config_sha256": digest(replace(recipe, seed=0)),  # trainings that differ by chance
        "seed": recipe.seed,
        "steps": recipe.steps,
        "precision": recipe.precision,
        "ablation": weighing.ablation,
        "losses": weighing.weights,
        "losses_dropped": weighing.dropped,
        "data": [asdict(source) for source in feed.sources],
        "snow_sha256": feed.snow,
        "started_from": started_from,
        "hardware": device_name(str(device)),
        "threads": torch.get_num_threads(),
        "processes": world,
        "environment": environment(),
    }


def progressed(card: dict[str, Any], tally: Tally) -> dict[str, Any]:
    """Return a card with how far the training is; no times, so that equal weights stay equal."""
    return {
        **card,
        "step": tally.step,
        "skipped": tally.skipped,
        "losses_without_data": sorted(card["losses"].keys() - set(tally.seen)),
        "validation": tally.validation,
    }


def write_card(folder: Path, card: dict[str, Any], tally: Tally) -> None:
    """Write `card.json`: the checkpoint's card, and the time that the training took."""
    time = {"wall_s": round(tally.wall_s, 1), "cpu_s_without_workers": round(tally.cpu_s, 1)}
    write_json(folder / CARD, {**progressed(card, tally), **time})
