"""Serve crops of clean clips to training, each under snow that never fell before.

    pairs = SnowPairs(["clips/"], preset("moderate"), frames=5, crop=256, seed=1)
    loader = torch.utils.data.DataLoader(pairs, batch_size=8, num_workers=4)

Only the crop is rendered, and it is the crop of the whole frame, pixel for pixel. Sample i depends
on the seed and on i alone; one that is asked for twice, or by another worker, is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.generators.kept_survey import Inquiry, surveyed
from rvsd_bench.generators.layers import network_layers
from rvsd_bench.generators.recipes import Recipe, as_recipe
from rvsd_bench.generators.region import Region
from rvsd_bench.generators.rendering import (
    Footage,
    RenderedFrame,
    Shot,
    find_light,
    prepare,
    render_frame,
)
from rvsd_bench.generators.scene import Scene
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.media.frame_cache import CachedClip, cache_clip, cache_folder
from rvsd_bench.media.reading import find_clips
from rvsd_bench.seeds import stream


@dataclass(frozen=True)
class Cut:
    """Where a sample comes from: enough to render the whole frames that it is cut from."""

    clip: int
    """Which of `SnowPairs.clips`."""
    variant: int
    """The number of the snowfall."""
    frames: range
    region: Region


class SnowPairs(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """A torch dataset of endless fresh snow over clean clips, for any number of workers.

    A sample is a dict of float32 tensors in display values: `snowy` and `clean` [T, 3, c, c] in
    [0, 1]; with `layers` also what networks are supervised with, as
    `read_layers(..., target="network")` gives it: `S` and `A` [T, 3, c, c], `T` and the mask `z`
    [T, 1, c, c], where snowy = clean·T + A·(1 − T) + S.

    Samples come well mixed, from `snowfalls` snowfalls at a time, each over one clip, and each
    followed by a new one after `per_snowfall` samples: to begin one costs as much as several crops.
    So go through them in order: a shuffling sampler would begin a snowfall for every sample.
    `len` is what samplers take for an epoch; any index from 0 on has a sample.
    """

    def __init__(
        self,
        inputs: Sequence[Path | str],
        recipe: Recipe | Scene,
        *,
        frames: int = 3,
        crop: int = 256,
        seed: int = 0,
        layers: bool = False,
        depth: str = "auto",
        motion: str = "auto",
        cache: Path | str | None = None,
        per_snowfall: int = 32,
        snowfalls: int = 8,
        samples: int = 1_000_000,
        workers: int = 1,
        track: Track = untracked,
    ) -> None:
        """Find the clips, decode them into the frame cache, and find depth, motion and light once.

        `inputs` are clips, or folders of them. Of the `recipe` each snowfall is a new draw, but a
        clip keeps its field of view and depth settings. Frames, two bytes a pixel of depth, and
        what else was found lie beside the clips or below `cache`; `workers` processes find it,
        and `track` shows how far they are. Raises InputError for a clip that is too small or short.
        """
        numbers = {"frames": frames, "crop": crop, "per_snowfall": per_snowfall}
        for name, value in {**numbers, "snowfalls": snowfalls, "samples": samples}.items():
            if value < 1:
                raise InputError(f"SnowPairs: {name} must be at least 1, got {value}")
        self.recipe, self.seed, self.layers = as_recipe(recipe), seed, layers
        self.frames, self.crop, self.samples = frames, crop, samples
        self.per_snowfall, self.snowfalls = per_snowfall, snowfalls
        self.clips: list[CachedClip] = []
        self._shots: dict[int, tuple[int, Shot]] = {}
        inquiries = []
        for path, folder in _places(inputs, None if cache is None else Path(cache)):
            clip = cache_clip(path, folder)
            self._check(clip, path)
            self.clips.append(clip)
            scene = self.scene(len(self.clips) - 1, 0)
            inquiries.append(Inquiry(clip, scene, depth, motion, path))
        found = surveyed(inquiries, workers=workers, track=track)
        keys = [_light_key(number, asked.scene) for number, asked in enumerate(inquiries)]
        self._footage = dict(zip(keys, found, strict=True))

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return sample `index`, 0 or more."""
        cut = self.cut(index)
        shot, clip = self._shot(index % self.snowfalls, cut), self.clips[cut.clip]
        near = _narrowed(shot, cut)
        return _tensors(
            [render_frame(near, i, clip[i], cut.region) for i in cut.frames], self.layers
        )

    def cut(self, index: int) -> Cut:
        """Say which part of which clip sample `index` is, and under which snowfall."""
        if index < 0:
            raise IndexError(f"samples count from 0, there is no {index}")
        slot, turn = index % self.snowfalls, index // self.snowfalls
        # Not all snowfalls end at once: that would hold up training now and then.
        turn += slot * self.per_snowfall // self.snowfalls
        variant = slot + self.snowfalls * (turn // self.per_snowfall)
        number = self._clip_of(variant)
        clip, chance = self.clips[number], stream(self.seed, "pairs cut", index).random(3)
        room = np.array([len(clip) - self.frames, *(side - self.crop for side in clip.size)])
        first, top, left = (int(part) for part in chance * (room + 1))
        window = range(first, first + self.frames)
        return Cut(number, variant, window, Region(top, left, self.crop, self.crop))

    def _clip_of(self, variant: int) -> int:
        """Return the clip of a snowfall: all in turn, so that none is twice among those at a time.

        The last slot is the first to begin anew: in that order the clips take turns.
        """
        turn, slot = divmod(variant, self.snowfalls)
        order = np.argsort(stream(self.seed, "pairs clip").random(len(self.clips)))
        return int(order[(turn * self.snowfalls + self.snowfalls - 1 - slot) % len(order)])

    def scene(self, clip: int, variant: int) -> Scene:
        """Return a snowfall over a clip: a fresh draw, but for what is the footage's own."""
        source = self.clips[clip].source_id
        first, drawn = (self.recipe.draw(self.seed, source, n) for n in (0, variant))
        camera = replace(drawn.camera, hfov_deg=first.camera.hfov_deg)
        return replace(drawn, camera=camera, depth=first.depth)

    def _shot(self, slot: int, cut: Cut) -> Shot:
        """Return a snowfall over its clip; it is kept until another takes its slot."""
        variant, shot = self._shots.get(slot, (None, None))
        if shot is None or variant != cut.variant:
            clip, scene = self.clips[cut.clip], self.scene(cut.clip, cut.variant)
            shot = prepare(
                clip,
                scene,
                seed=self.seed,
                source_id=clip.source_id,
                variant=cut.variant,
                footage=self._lit(cut.clip, scene),
            )
            self._shots[slot] = cut.variant, shot
        return shot

    def _lit(self, clip: int, scene: Scene) -> Footage:
        """Return what is known of a clip; its light at night is found when it first is night."""
        key = _light_key(clip, scene)
        if key not in self._footage:
            known = next(value for (number, *_), value in self._footage.items() if number == clip)
            light = find_light(self.clips[clip], scene, known.depth)
            self._footage[key] = replace(known, light=light)
        return self._footage[key]

    def _check(self, clip: CachedClip, path: Path) -> None:
        if min(clip.size) < self.crop:
            raise InputError(
                f"{path} is {clip.size[1]} x {clip.size[0]} pixels, too small for crops of "
                f"{self.crop}: lower crop, or leave the clip out"
            )
        if len(clip) < self.frames:
            raise InputError(
                f"{path} has {len(clip)} frames, too few for samples of {self.frames}: lower "
                "frames, or leave the clip out"
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the snowfalls behind: every worker prepares its own."""
        return {**self.__dict__, "_shots": {}}


def _places(inputs: Sequence[Path | str], out: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield every clip, and where its decoded frames lie."""
    for root in map(Path, inputs):
        for path in find_clips([root]):
            yield path, cache_folder(path, root, out)


def _light_key(clip: int, scene: Scene) -> tuple[Any, ...]:
    return clip, scene.light.mode == "day", scene.light.airlight


def _narrowed(shot: Shot, cut: Cut) -> Shot:
    """Return the shot with those flakes alone that the cut may show."""
    flight = shot.snowfall.flight.narrowed(shot.times[list(cut.frames)], cut.region)
    return replace(shot, snowfall=replace(shot.snowfall, flight=flight))


def _tensors(frames: list[RenderedFrame], layers: bool) -> dict[str, torch.Tensor]:
    sample = {
        "snowy": _display([frame.snowy for frame in frames]),
        "clean": _display([frame.clean for frame in frames]),
    }
    if layers:
        parts = [network_layers(frame) for frame in frames]
        for name in ("S", "T", "A", "z"):
            whole = [_spread(getattr(part, name), part.J.shape) for part in parts]
            sample[name] = _channels_first(np.stack(whole).astype(np.float32))
    return sample


def _spread(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a layer at every pixel: the light of the air is one colour by day."""
    return np.broadcast_to(values, shape) if values.ndim == 1 else values


def _display(frames: list[NDArray[np.uint8]]) -> torch.Tensor:
    return _channels_first(np.stack(frames)).float().div_(255)


def _channels_first(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()
