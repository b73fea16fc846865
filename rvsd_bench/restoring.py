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
from rvsd_bench.errors import InputError, RvsdBenchError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK, CONTEXT = 16, 4
"""Models of whole clips get chunks of 16 frames with 4 more on either side, to bound memory."""
WILD = 10.0
"""Values beyond this are no overshoot of [0, 1]: the model answers on another scale."""


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
    if tile is not None:
        if model.info.tiling == "internal":
            raise InputError(f"model {model.info.name!r} cuts its own tiles; leave out --tile")
        if not 0 <= overlap < tile:
            raise InputError(f"tiles of {tile} px cannot overlap by {overlap} px")
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
            restored = _tiled(self.model, torch.stack(frames)[None], self.tile, self.overlap)
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


def _tiled(model: VideoRestorer, clip: Tensor, tile: int | None, overlap: int) -> Tensor:
    """Restore a clip [1, T, 3, H, W] of any size, whole or tile by tile."""
    import torch

    height, width = clip.shape[-2:]
    padded = _pad(clip, model.info)
    if tile is None:
        return _call(model, padded)[..., :height, :width]
    info = model.info
    overlap = _up(overlap, info.multiple)
    tile = _up(max(tile, info.min_size, overlap + 1), info.multiple)
    total, weights = torch.zeros_like(padded), torch.zeros_like(padded[0, 0, 0])
    for rows, up in _cuts(padded.shape[-2], tile, overlap):
        for columns, across in _cuts(padded.shape[-1], tile, overlap):
            weight = torch.outer(torch.from_numpy(up), torch.from_numpy(across)).to(clip.device)
            total[..., rows, columns] += _call(model, padded[..., rows, columns]) * weight
            weights[rows, columns] += weight
    return (total / weights)[..., :height, :width]


def _pad(clip: Tensor, info: ModelInfo) -> Tensor:
    """Pad below and on the right to the sizes a model takes."""
    from torch.nn.functional import pad

    padded = clip.flatten(0, 1)
    for axis in (-1, -2):
        size = clip.shape[axis]
        more = _up(max(size, info.min_size), info.multiple) - size
        if more:
            edges = (0, more, 0, 0) if axis == -1 else (0, 0, 0, more)
            padded = pad(padded, edges, mode="reflect" if more < size else "replicate")
    return padded.unflatten(0, clip.shape[:2])


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _cuts(length: int, tile: int, overlap: int) -> list[tuple[slice, NDArray[np.float32]]]:
    """Cut one axis into tiles and give the weight of each pixel in its tile.

    Weights rise linearly over the overlap but stay zero on its outer quarter, where a network
    sees the cut edge of its tile. Two neighbours that overlap as planned sum to one.
    """
    if length <= tile:
        return [(slice(0, length), np.ones(length, np.float32))]
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    margin = overlap // 4
    ramp = (np.arange(overlap) - margin + 1) / (overlap - 2 * margin + 1)
    ramp = np.clip(ramp, 0, 1).astype(np.float32)
    cuts = []
    for start in starts:
        weight = np.ones(tile, np.float32)
        if start > 0:
            weight[:overlap] = ramp
        if start < length - tile:
            weight[tile - overlap :] *= ramp[::-1]
        cuts.append((slice(start, start + tile), weight))
    return cuts


def _call(model: VideoRestorer, clip: Tensor) -> Tensor:
    """Run a model on one legal clip and refuse an answer that cannot be one."""
    import torch

    name, shape = model.info.name, list(clip.shape)
    try:
        restored = model(clip).float()
    except RvsdBenchError:
        raise
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"model {name!r} ran out of memory on a clip of shape {shape}; use smaller --tile"
        ) from error
    except Exception as error:  # a stranger's network may raise anything
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"model {name!r} failed on a clip of shape {shape}: {problem}") from error
    if list(restored.shape) != shape:
        raise InputError(f"model {name!r} returned {list(restored.shape)} for {shape}")
    low, high = (float(value) for value in restored.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"model {name!r} returned values that are not finite (NaN or infinity)")
    if max(-low, high) > WILD:
        raise InputError(
            f"model {name!r} returned values from {low:.4g} to {high:.4g}; they must lie in [0, 1]"
        )
    return restored
