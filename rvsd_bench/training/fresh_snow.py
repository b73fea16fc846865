"""Serve clean footage to training under snow that never fell before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rvsd_bench.files import digest_of
from rvsd_bench.generators.pairs import SnowPairs
from rvsd_bench.generators.recipes import (
    Recipe,
    as_recipe,
    load_recipe,
    preset,
    preset_names,
    recipe_names,
)
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.media.frame_cache import CachedClip, cache_clip, cache_folder
from rvsd_bench.media.reading import find_clips
from rvsd_bench.seeds import stream
from rvsd_bench.training.batches import Layers, Source
from rvsd_bench.training.holding import held_out
from rvsd_bench.training.recipe import TrainingRecipe
from rvsd_bench.training.retouching import draw_touch
from rvsd_bench.training.windows import Packed, Pair, Sample, pack, turned, unpack

WIDEST = 512
"""Pixels a side of the windows that show what is around a crop: larger ones would fill memory."""


class FreshSnow:
    """Windows of clean clips under snowfalls of the recipe, with all their layers.

    To render costs as much per frame as per pixel. So twice as wide is rendered, where the clips
    are large enough, or with `data.around` as wide as they are up to `WIDEST`, and its parts are
    learned from, to the corners; then once more mirrored. Between two uses of a window come all the
    others of `data.windows`: where a few are learned from for several steps in a row, a network
    follows them and forgets the rest.
    """

    def __init__(
        self,
        folder: Path,
        recipe: TrainingRecipe,
        *,
        cache: Path | None,
        seed: int,
        workers: int = 1,
        track: Track = untracked,
    ) -> None:
        """Find the clips, hold some out, and let `SnowPairs` decode and survey them.

        Raises InputError, naming the clip, for one that is too small or short.
        """
        clips = find_clips([folder])
        shown = track(clips, total=len(clips), what="decoding", unit="clip")
        kept = {clip: cache_clip(clip, cache_folder(clip, folder, cache)) for clip in shown}
        held = held_out(clip.source_id for clip in kept.values())
        learned = [clip for clip in clips if kept[clip].source_id not in held]
        seen = [clip for clip in clips if kept[clip].source_id in held] or learned
        self._recipe, self._seed, data = recipe, seed, recipe.data
        shortest = _shortest(learned, kept)
        largest = WIDEST if data.around else 2 * recipe.crop
        wide = max(recipe.crop, min(largest, shortest))
        self._margin = wide - recipe.crop
        self._parts = max(2, wide // recipe.crop) if self._margin else 1
        """In a row of them, from corner to corner."""
        self._uses = self._parts**2 * (2 if data.flips else 1)
        self._windows = max(recipe.batch, recipe.data.windows)
        self._rendered: dict[int, tuple[int, Packed]] = {}
        snow = _snow(data.snow)
        self.snow = digest_of(snow.tree)
        common: dict[str, Any] = {"cache": cache, "motion": data.motion, "depth": data.depth}
        common |= {"recipe": snow, "frames": recipe.frames, "layers": True, "workers": workers}
        common["track"] = track
        self._pairs = SnowPairs(
            learned,
            crop=wide,
            seed=seed,
            per_snowfall=max(1, data.per_snowfall // self._uses),
            snowfalls=data.snowfalls,
            **common,
        )
        # One window of every clip in turn, each under a snowfall of its own.
        side = max(recipe.crop, min(recipe.validation.size, _shortest(seen, kept)))
        self._judged = SnowPairs(
            seen, crop=side, seed=seed + 1, per_snowfall=1, snowfalls=1, **common
        )
        self.sources: Sequence[Source] = tuple(
            Source(clip.name, found.source_id, "held out" if found.source_id in held else "train")
            for clip, found in kept.items()
        )

    def sample(self, step: int, place: int) -> Sample:
        """Return a corner of a rendered window; its video is the snowfall."""
        recipe = self._recipe
        count = self._windows
        turn, slot = divmod(step * recipe.batch + place, count)
        # They do not all end together: that would hold up training now and then. The first slot
        # ends first, so that windows are rendered in the order of their numbers, and a snowfall is
        # not left and begun again.
        turn, use = divmod(turn + (count - 1 - slot) * self._uses // count, self._uses)
        number = turn * count + slot
        found = self._window(number, slot)
        first, mirrored, sideways = stream(self._seed, "corners", number).random(3)
        again, corner = divmod(use, self._parts**2)
        row, column = divmod((corner + int(first * self._parts**2)) % self._parts**2, self._parts)
        touch = None
        if recipe.data.retouch:
            touch = draw_touch(stream(self._seed, "touch", number, use))
        part = unpack(found, self._edge(row), self._edge(column), recipe.crop, touch)
        mirror = recipe.data.flips and (mirrored < 0.5) != bool(again)
        transpose = recipe.data.transposes and bool((sideways < 0.5) != (corner % 2 == 1))
        return turned(part, mirror=mirror, transpose=transpose)

    def _edge(self, number: int) -> int:
        """Return where the parts of a row begin, evenly from end to end."""
        return number * self._margin // max(1, self._parts - 1)

    def _window(self, number: int, slot: int) -> Packed:
        """Return a rendered window; it is kept, packed, until its slot needs another."""
        kept, window = self._rendered.get(slot, (None, None))
        if window is None or kept != number:
            found = self._pairs[number]
            layers = Layers(found["S"], found["T"], found["A"], found["z"])
            snowfall = self._pairs.cut(number).variant
            window = pack(
                found["snowy"], found["clean"], layers, snowfall, self._recipe.data.around
            )
            self._rendered[slot] = number, window
        return window

    def __getstate__(self) -> dict[str, Any]:
        """Leave the rendered windows behind: every worker renders its own."""
        return {**self.__dict__, "_rendered": {}}

    def validation(self) -> Sequence[Pair]:
        """Return windows of the held-out clips in turn."""
        found = (self._judged[number] for number in range(self._recipe.validation.clips))
        return [(sample["snowy"], sample["clean"]) for sample in found]


def _snow(name: str) -> Recipe:
    """Return a preset or a shipped recipe by its name, or a recipe by its file."""
    if name in preset_names():
        return as_recipe(preset(name))
    return load_recipe(f"{name}.toml" if f"{name}.toml" in recipe_names() else name)


def _shortest(clips: Sequence[Path], kept: Mapping[Path, CachedClip]) -> int:
    return min(min(kept[clip].size) for clip in clips)
