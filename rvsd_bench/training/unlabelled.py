"""Serve clips of real snow, without truth, to the mean teacher: one window, two augmentations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rvsd_bench.data.caching import clips_of
from rvsd_bench.errors import InputError
from rvsd_bench.media.frame_cache import CachedClip, cache_clip, cache_folder
from rvsd_bench.seeds import stream
from rvsd_bench.training.augmenting import strengthened
from rvsd_bench.training.batches import Source, Unlabelled
from rvsd_bench.training.recipe import TrainingRecipe


class RealSnow:
    """Windows of clips without truth; those of one batch are from different clips."""

    def __init__(
        self, folder: Path, recipe: TrainingRecipe, *, cache: Path | None, seed: int
    ) -> None:
        """Decode the clips; raises InputError, naming it, for one that is too small or short."""
        self._recipe, self._seed = recipe, seed
        self._clips = []
        for path in clips_of(folder):
            clip = cache_clip(path, cache_folder(path, folder, cache))
            _check(clip, path, recipe)
            self._clips.append(clip)
        self.sources: Sequence[Source] = tuple(
            Source(clip.name, clip.source_id, "unlabelled") for clip in self._clips
        )

    def batch(self, step: int) -> Unlabelled:
        """Return the windows of a step: a pure function of the seed and of `step`."""
        count = self._recipe.semi.batch
        order = np.argsort(stream(self._seed, "unlabelled clips", step).random(len(self._clips)))
        videos = tuple(int(order[place % len(order)]) for place in range(count))
        pairs = [self._views(step * count + place, video) for place, video in enumerate(videos)]
        weak, strong = (torch.stack(side) for side in zip(*pairs, strict=True))
        return Unlabelled(weak, strong, videos)

    def _views(self, number: int, video: int) -> tuple[Tensor, Tensor]:
        """Return a window as the teacher and as the student see it, mirrored both or neither."""
        clip, side, data = self._clips[video], self._recipe.crop, self._recipe.data
        chance = stream(self._seed, "unlabelled window", number)
        room = np.array([len(clip) - self._recipe.frames, *(size - side for size in clip.size)])
        first, top, left = (int(part) for part in chance.random(3) * (room + 1))
        mirror, transpose = chance.random(2) < 0.5
        frames = clip.frames[first : first + self._recipe.frames]
        cut = frames[:, top : top + side, left : left + side]
        window = cut.astype(np.float32) / np.float32(255)
        if mirror and data.flips:
            window = window[:, :, ::-1]
        if transpose and data.transposes:
            window = window.swapaxes(1, 2)
        window = np.ascontiguousarray(window, np.float32)
        return _tensor(window), _tensor(strengthened(window, chance))


def _check(clip: CachedClip, path: Path, recipe: TrainingRecipe) -> None:
    if min(clip.size) < recipe.crop or len(clip) < recipe.frames:
        raise InputError(
            f"{path} has {len(clip)} frames of {clip.size[1]} x {clip.size[0]} pixels; windows are "
            f"{recipe.frames} frames of {recipe.crop} x {recipe.crop}: lower frames or crop, or "
            "leave the clip out"
        )


def _tensor(window: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(window).permute(0, 3, 1, 2).contiguous()
