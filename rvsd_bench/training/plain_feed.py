"""Stand in for the feed of training: fresh snow over clean clips, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rvsd_bench.files import digest_source
from rvsd_bench.generators import SnowPairs, load_recipe, preset
from rvsd_bench.generators.recipes import preset_names
from rvsd_bench.media.reading import find_clips
from rvsd_bench.training.batches import Batch, Layers, Source
from rvsd_bench.training.recipe import TrainingRecipe


class PlainFeed:
    def __init__(self, data: Path, recipe: TrainingRecipe, seed: int, cache: Path | None) -> None:
        clips = sorted(find_clips([data]), key=digest_source)
        held = max(1, round(len(clips) * 0.1))
        self.held, self.clips = clips[:held], clips[held:] or clips
        self.size, self.seed = recipe.batch, seed
        snow = (
            preset(recipe.data.snow)
            if recipe.data.snow in preset_names()
            else load_recipe(Path(recipe.data.snow))
        )
        common: dict[str, Any] = {
            "frames": recipe.frames,
            "layers": True,
            "cache": cache,
            "motion": recipe.data.motion,
            "depth": recipe.data.depth,
        }
        self.pairs = SnowPairs(
            self.clips,
            snow,
            crop=recipe.crop,
            seed=seed,
            per_snowfall=recipe.data.per_snowfall,
            snowfalls=recipe.data.snowfalls,
            **common,
        )
        self.judged = SnowPairs(
            self.held, snow, crop=min(recipe.validation.size, 256), seed=seed + 1, **common
        )
        self.windows = recipe.validation.clips

    @property
    def sources(self) -> Sequence[Source]:
        return [Source(c.name, c.source_id) for c in self.pairs.clips] + [
            Source(c.name, c.source_id, "held out") for c in self.judged.clips
        ]

    def batch(self, step: int) -> Batch:
        numbers = range(step * self.size, (step + 1) * self.size)
        samples = [self.pairs[n] for n in numbers]
        stacked = {k: torch.stack([s[k] for s in samples]) for k in samples[0]}
        videos = tuple(self.pairs.cut(n).variant for n in numbers)
        layers = Layers(*(stacked[k] for k in "STAz"))
        return Batch(stacked["snowy"], stacked["clean"], layers, videos)

    def validation(self) -> list[tuple[Tensor, Tensor]]:
        samples = [self.judged[n] for n in range(self.windows)]
        return [(s["snowy"], s["clean"]) for s in samples]


def open_feed(
    data: Path,
    recipe: TrainingRecipe,
    *,
    split: str = "train",
    unlabelled: Path | None = None,
    cache: Path | None = None,
    seed: int = 0,
) -> PlainFeed:
    return PlainFeed(data, recipe, seed, cache)
