"""Serve paired datasets to training from memory maps: RVSD, generated ones and their layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rvsd_bench.clip import Clip
from rvsd_bench.data.caching import kept_planes
from rvsd_bench.data.dataset import Dataset, Video, open_clean, open_snowy
from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_source
from rvsd_bench.generators.layers import meta_of, stored_layers
from rvsd_bench.generators.lightmap import spread
from rvsd_bench.generators.region import Region
from rvsd_bench.media.frame_cache import cache_clip, cache_folder
from rvsd_bench.media.plane_cache import CachedPlanes, cache_planes
from rvsd_bench.seeds import stream
from rvsd_bench.training.batches import Around, Layers, Source
from rvsd_bench.training.holding import held_out
from rvsd_bench.training.recipe import TrainingRecipe
from rvsd_bench.training.windows import Pair, Sample, made_small, share_of, turned


@dataclass(frozen=True)
class Side:
    """One side of a video: frame i is frame `order[i]` of a clip."""

    clip: Clip
    order: tuple[int, ...]

    def cut(self, frames: range, part: Region) -> NDArray[np.uint8]:
        """Return a window, uint8 [T, H, W, 3]."""
        return np.stack([part.of(self.clip[self.order[index]]) for index in frames])


@dataclass(frozen=True, eq=False)
class KeptLayers:
    """What of a generated video's layers networks are supervised with."""

    transmission: CachedPlanes
    coverage: CachedPlanes
    domain: str
    a16: NDArray[np.uint16] | None
    light: CachedPlanes | None
    """The light of the air in cells of 8 x 8, where it varies and `a16` is None."""

    def cut(self, frames: range, part: Region, snowy: Any, clean: Any, size: Any) -> Layers:
        """Return the layers of a window whose frames are `snowy` and `clean`."""
        found = []
        for place, index in enumerate(frames):
            t16, z16 = (
                np.ascontiguousarray(part.of(kept.planes[index]))
                for kept in (self.transmission, self.coverage)
            )
            a16 = self.a16
            if a16 is None:
                assert self.light is not None
                a16 = part.of(spread(self.light.planes[index], size))
            found.append(stored_layers(clean[place], snowy[place], t16, z16, a16, self.domain))
        return Layers(*(_plane([getattr(one, name) for one in found], part) for name in "STAz"))


@dataclass(frozen=True, eq=False)
class Filmed:
    """A video of the dataset, opened."""

    video: Video
    snowy: Side
    clean: Side
    layers: KeptLayers | None
    source: str
    size: tuple[int, int]

    def window(self, frames: range, part: Region) -> tuple[Tensor, Tensor, Layers | None]:
        """Return a window: snowy and clean [T, 3, H, W] in [0, 1], and the layers if known."""
        snowy, clean = self.snowy.cut(frames, part), self.clean.cut(frames, part)
        layers = None
        if self.layers is not None:
            layers = self.layers.cut(frames, part, snowy, clean, self.size)
        return _shown(snowy), _shown(clean), layers

    def around(self, frames: range, part: Region, rows: int) -> Around | None:
        """Return the small picture that a window is cut from; None if it is to have no rows."""
        if not rows:
            return None
        whole = self.snowy.cut(frames, Region(0, 0, *self.size))
        picture = made_small(_shown(whole), rows)
        return Around(picture, None, share_of(self.size, part.top, part.left, part.height))


class Paired:
    """Windows of the videos of a paired dataset; those of one batch are from different sources."""

    def __init__(
        self, dataset: Dataset, recipe: TrainingRecipe, *, cache: Path | None, seed: int
    ) -> None:
        """Decode the videos into the frame cache, and hold some sources out.

        Raises InputError, naming the video, for one that is too small or short.
        """
        self._recipe, self._seed = recipe, seed
        found = [_open(dataset, video, cache) for video in dataset.videos]
        for film in found:
            _check(film, recipe)
        held = held_out(film.source for film in found)
        self._sources = sorted({film.source for film in found} - held)
        self._films = {
            source: [(video, film) for video, film in enumerate(found) if film.source == source]
            for source in self._sources
        }
        self._held = [film for film in found if film.source in held] or found
        self.snow = ""
        self.sources: Sequence[Source] = tuple(
            Source(film.video.name, film.source, "held out" if film.source in held else "train")
            for film in found
        )

    def sample(self, step: int, place: int) -> Sample:
        """Return a window; each step draws its sources anew, none twice while there are enough."""
        order = np.argsort(stream(self._seed, "paired sources", step).random(len(self._sources)))
        films = self._films[self._sources[int(order[place % len(order)])]]
        chance = stream(self._seed, "paired window", step, place)
        video, film = films[int(chance.random() * len(films))]
        side, data = self._recipe.crop, self._recipe.data
        frames, part = _place(film, self._recipe.frames, (side, side), chance)
        mirror, transpose = (bool(one) for one in chance.random(2) < 0.5)
        return turned(
            Sample(*film.window(frames, part), video, film.around(frames, part, data.around)),
            mirror=mirror and data.flips,
            transpose=transpose and data.transposes,
        )

    def validation(self) -> Sequence[Pair]:
        """Return windows of the held-out videos in turn."""
        windows = []
        for number in range(self._recipe.validation.clips):
            film = self._held[number % len(self._held)]
            size = tuple(min(self._recipe.validation.size, side) for side in film.size)
            chance = stream("held-out window", number)
            frames, part = _place(film, self._recipe.frames, size, chance)
            windows.append(film.window(frames, part)[:2])
        return windows


def _place(
    film: Filmed, count: int, size: tuple[int, ...], chance: np.random.Generator
) -> tuple[range, Region]:
    room = np.array([len(film.video.frame_ids) - count, *np.subtract(film.size, size)])
    first, top, left = (int(part) for part in chance.random(3) * (room + 1))
    return range(first, first + count), Region(top, left, size[0], size[1])


def _open(dataset: Dataset, video: Video, cache: Path | None) -> Filmed:
    assert video.clean is not None
    snowy = _side(dataset, video, video.snowy, video.snowy_files, cache)
    clean = _side(dataset, video, video.clean, video.clean_files, cache)
    if snowy.clip.size != clean.clip.size:
        (high, wide), (other_high, other_wide) = snowy.clip.size, clean.clip.size
        raise InputError(
            f"{dataset.root}: clip {video.split}/{video.name} is {wide} x {high} with snow and "
            f"{other_wide} x {other_high} without: the sides must have one size"
        )
    source = video.source_id or getattr(clean.clip, "source_id", None) or digest_source(video.clean)
    layers = _layers(dataset, video, cache)
    return Filmed(video, snowy, clean, layers, source, snowy.clip.size)


def _side(
    dataset: Dataset, video: Video, path: Path, files: tuple[Path, ...] | None, cache: Path | None
) -> Side:
    """Open one side: memory-mapped, but for pictures that lie loose and are decoded each time."""
    count = len(video.frame_ids)
    if files is not None and not path.is_dir():
        loose = open_snowy(video) if path == video.snowy else open_clean(video)
        return Side(loose, tuple(range(count)))
    clip = cache_clip(path, cache_folder(path, dataset.root, cache))
    if files is None:
        return Side(clip, tuple(range(count)))
    places = {name: index for index, name in enumerate(clip.facts["frames"])}
    return Side(clip, tuple(places[file.name] for file in files))


def _layers(dataset: Dataset, video: Video, cache: Path | None) -> KeptLayers | None:
    names = kept_planes(video)
    if not names or video.layers is None:
        return None
    domain, a16 = meta_of(video.layers.parent.parent / "meta" / f"{video.name}.json")
    if a16 is None and "light" not in names:
        raise InputError(f"{video.layers} lacks the folder light: run `generate` again")
    out = cache_folder(video.layers, dataset.root, cache)
    kept = [cache_planes(video.layers / name, video.frame_ids, out) for name in names]
    return KeptLayers(kept[0], kept[1], domain, a16, kept[2] if a16 is None else None)


def _check(film: Filmed, recipe: TrainingRecipe) -> None:
    name = f"{film.video.split}/{film.video.name}"
    if min(film.size) < recipe.crop:
        raise InputError(
            f"clip {name} is {film.size[1]} x {film.size[0]} pixels, too small for crops of "
            f"{recipe.crop}: lower crop, or leave the clip out"
        )
    if len(film.video.frame_ids) < recipe.frames:
        raise InputError(
            f"clip {name} has {len(film.video.frame_ids)} frames, too few for windows of "
            f"{recipe.frames}: lower frames, or leave the clip out"
        )


def _shown(frames: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(255)


def _plane(frames: Sequence[NDArray[np.float64]], part: Region) -> Tensor:
    """Stack a layer, [T, C, H, W]; the light of the air by day is one colour for all pixels."""
    shape = (part.height, part.width)
    wide = [np.broadcast_to(frame, (*shape, frame.shape[-1])) for frame in frames]
    return torch.from_numpy(np.stack(wide).astype(np.float32)).permute(0, 3, 1, 2).contiguous()
