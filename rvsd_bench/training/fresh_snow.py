"""Serve clean footage to training under snow that never fell before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rvsd_bench.generators.pairs import SnowPairs
from rvsd_bench.generators.recipes import Recipe, as_recipe, load_recipe, preset, preset_names
from rvsd_bench.media.frame_cache import cache_clip, cache_folder
from rvsd_bench.media.reading import find_clips
from rvsd_bench.training.batches import Layers, Source
from rvsd_bench.training.holding import held_out
from rvsd_bench.training.recipe import TrainingRecipe
from rvsd_bench.training.windows import Pair, Sample


class FreshSnow:
    """Windows of clean clips under snowfalls of the recipe, with all their layers."""

    def __init__(
        self, folder: Path, recipe: TrainingRecipe, *, cache: Path | None, seed: int
    ) -> None:
        """Find the clips, hold some out, and let `SnowPairs` decode and survey them.

        Raises InputError, naming the clip, for one that is too small or short.
        """
        clips = find_clips([folder])
        kept = {clip: cache_clip(clip, cache_folder(clip, folder, cache)) for clip in clips}
        digests = {clip: kept[clip].source_id for clip in clips}
        held = held_out(digests.values())
        snow = _snow(recipe.data.snow)
        common: dict[str, Any] = {
            "frames": recipe.frames,
            "layers": True,
            "motion": recipe.data.motion,
            "depth": recipe.data.depth,
        }
        learned = [clip for clip in clips if digests[clip] not in held]
        self._pairs = SnowPairs(
            learned,
            snow,
            crop=recipe.crop,
            seed=seed,
            cache=cache,
            per_snowfall=recipe.data.per_snowfall,
            snowfalls=recipe.data.snowfalls,
            **common,
        )
        seen = [clip for clip in clips if digests[clip] in held] or learned
        sides = [side for clip in seen for side in kept[clip].size]
        # One window of every clip in turn, each under a snowfall of its own.
        self._judged = SnowPairs(
            seen,
            snow,
            crop=max(recipe.crop, min(recipe.validation.size, *sides)),
            seed=seed + 1,
            cache=cache,
            per_snowfall=1,
            snowfalls=1,
            **common,
        )
        self._windows = recipe.validation.clips
        roles = ["held out" if digests[clip] in held else "train" for clip in clips]
        self.sources: Sequence[Source] = tuple(
            Source(clip.name, digests[clip], role) for clip, role in zip(clips, roles, strict=True)
        )

    def sample(self, number: int) -> Sample:
        """Return window `number`; its video is the clip, under whichever snow."""
        found = self._pairs[number]
        layers = Layers(found["S"], found["T"], found["A"], found["z"])
        return Sample(found["snowy"], found["clean"], layers, self._pairs.cut(number).clip)

    def validation(self) -> Sequence[Pair]:
        """Return windows of the held-out clips in turn."""
        found = (self._judged[number] for number in range(self._windows))
        return [(sample["snowy"], sample["clean"]) for sample in found]


def _snow(name: str) -> Recipe:
    """Return a preset by its name, or a recipe by its file or the name of a shipped one."""
    return as_recipe(preset(name)) if name in preset_names() else load_recipe(name)
