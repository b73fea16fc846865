"""Run a restorer over a clip of any length and size: windows, padding, tiles, one rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.clip import Clip, Frame, from_torch, to_torch
from rvsd_bench.restoring.tiling import require_tiles, run_padded

if TYPE_CHECKING:
    from torch import Tensor

CHUNK, CONTEXT = 16, 4
"""Models of whole clips get chunks of 16 frames with 4 more on either side, to bound memory."""


def restore(
    model: VideoRestorer,
    clip: Clip,
    *,
    tile: int | None = None,
    overlap: int = 32,
    device: str = "cpu",
) -> RestoredClip:
    """Return the clip restored by a model, computed when its frames are asked for.

    Any length works: windows repeat the clip's first and last frame where they reach beyond it.
    Any size works: frames are padded by reflection (by their edge where they are too small for
    that) to what `model.info` asks for and cropped afterwards. `tile` cuts frames into squares of
    about that many pixels, which overlap and are blended linearly; the grid is the same for every
    frame. Values are clipped and rounded to uint8 once. The model must lie on `device`.
    """
    require_tiles(model.info, tile, overlap)
    return RestoredClip(model, clip, tile, overlap, device)


@dataclass(frozen=True)
class RestoredClip:
    """A clip whose frames are restored as they are read. Going through in order is fast."""

    model: VideoRestorer
    source: Clip
    tile: int | None
    overlap: int
    device: str

    @property
    def name(self) -> str:
        """The name of the clip that is restored."""
        return self.source.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.source.size

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return self.source.times

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.source.fps

    @property
    def facts(self) -> dict[str, Any]:
        """What the reader found, and the name of the model."""
        return {**self.source.facts, "restored_by": self.model.info.name}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        position = range(len(self))[index]
        window = _window(position // _step(self.model.info), len(self), self.model.info)
        tensors = {read: self._load(self.source[read]) for read in sorted(set(window.reads))}
        return self._run([tensors[read] for read in window.reads], window)[position - window.first]

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, holding one window of them and decoding each once."""
        info, count = self.model.info, len(self)
        held: dict[int, Tensor] = {}
        frames = enumerate(self.source)
        for number in range(math.ceil(count / _step(info))):
            window = _window(number, count, info)
            while max(window.reads) not in held:
                position, frame = next(frames)
                held[position] = self._load(frame)
            for past in [position for position in held if position < min(window.reads)]:
                del held[past]
            yield from self._run([held[read] for read in window.reads], window)

    def _load(self, frame: Frame) -> Tensor:
        return to_torch([frame])[0, 0].to(self.device)

    def _run(self, frames: list[Tensor], window: _Window) -> list[Frame]:
        """Restore one window and return the frames of it that count."""
        import torch

        with torch.inference_mode():
            restored = run_padded(self.model, torch.stack(frames)[None], self.tile, self.overlap)
            return from_torch(restored[:, window.skip : window.skip + window.count])


@dataclass(frozen=True)
class _Window:
    """Which frames a model reads at once, and which of its answers become frames of the clip."""

    reads: tuple[int, ...]
    first: int
    count: int
    skip: int


def _step(info: ModelInfo) -> int:
    if info.emits == "center":
        return 1
    return info.window or CHUNK


def _window(number: int, length: int, info: ModelInfo) -> _Window:
    """Return the number-th window over a clip; the last one is moved back so that it is full."""
    step = _step(info)
    first = number * step
    count = min(step, length - first)
    if info.window is None:
        start = max(0, first - CONTEXT)
        return _Window(
            tuple(range(start, min(length, first + count + CONTEXT))), first, count, first - start
        )
    if info.emits == "center":
        start, skip = first - info.window // 2, info.window // 2
    else:
        start = max(0, min(first, length - info.window))
        skip = first - start
    reads = (min(max(i, 0), length - 1) for i in range(start, start + info.window))
    return _Window(tuple(reads), first, count, skip)
