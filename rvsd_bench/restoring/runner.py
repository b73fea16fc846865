"""Run a restorer over a clip of any length and size: windows, padding, tiles, one rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from rvsd_bench.baselines.info import ModelInfo, StagedRestorer, VideoRestorer
from rvsd_bench.clip import Clip, ClipOf, Frame, from_torch, to_torch
from rvsd_bench.restoring import calling
from rvsd_bench.restoring.tiling import Grid, Tile, plan_grid, require_tiles

if TYPE_CHECKING:
    from torch import Tensor

CHUNK, CONTEXT = 16, 4
"""Models of whole clips get chunks of 16 frames with 4 more on either side, to bound memory."""
KEPT_BYTES = 2**31
"""Codes beyond this many bytes are computed again when the next window needs them."""


@dataclass(frozen=True)
class Way:
    """How a model is run over a clip; `restore` explains each."""

    tile: int | None = None
    overlap: int = 32
    stride: int | None = None
    precision: str = "float32"


PLAIN = Way()
"""As the model itself says, in float32."""


def require_way(info: ModelInfo, way: Way) -> None:
    """Raise InputError for a way in which a model cannot be run."""
    require_tiles(info, way.tile, way.overlap)
    calling.require_precision(info, way.precision)


def restore(
    model: VideoRestorer,
    clip: Clip,
    *,
    tile: int | None = None,
    overlap: int = 32,
    stride: int | None = None,
    precision: str = "float32",
    device: str = "cpu",
) -> RestoredClip:
    """Return the clip restored by a model, computed when its frames are asked for.

    Any length works: windows are moved back, or repeat the clip's first and last frame, where
    they reach beyond it. Any size works: frames are padded by reflection (by their edge where they
    are too small for that) to what `model.info` asks for and cropped afterwards.

    `tile` cuts frames into squares of about that many pixels, which overlap and are blended
    linearly; the grid is the same for every frame. None: as `model.info.tile` says; 0: whole
    frames. `stride` is how many frames of a window are kept (None: as `model.info.stride` says; 1
    restores each frame with the most neighbours, the window's length is fastest); it means nothing
    to models of single frames, centre frames or whole clips. `precision` (float32, bfloat16,
    float16) is that of torch's autocast. Values are clipped and rounded to uint8 once. The model
    must lie on `device`.
    """
    require_way(model.info, Way(tile, overlap, stride, precision))
    chosen = model.info.tile if tile is None else tile
    if tile is None and chosen is not None:
        overlap = min(overlap, chosen // 2)
    grid = plan_grid(clip.size, model.info, chosen, overlap)
    return RestoredClip(clip, model, grid, _step(model.info, stride), precision, device)


@dataclass(frozen=True)
class RestoredClip(ClipOf):
    """A clip whose frames are restored as they are read. Going through in order is fast."""

    model: VideoRestorer
    grid: Grid
    step: int
    """How many frames each window adds."""
    precision: str
    device: str

    @property
    def facts(self) -> dict[str, Any]:
        """What the reader found, and the name of the model."""
        return {**self.source.facts, "restored_by": self.model.info.name}

    def __getitem__(self, index: int) -> Frame:
        position = range(len(self))[index]
        window = self._window(position // self.step)
        held = {read: self._load(self.source[read]) for read in sorted(set(window.reads))}
        return self._run([held[read] for read in window.reads], window)[position - window.first]

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, holding one window of them and decoding each once."""
        held: dict[int, _Held] = {}
        frames = enumerate(self.source)
        for number in range(math.ceil(len(self) / self.step)):
            window = self._window(number)
            while max(window.reads) not in held:
                position, frame = next(frames)
                held[position] = self._load(frame)
            for past in [position for position in held if position < min(window.reads)]:
                del held[past]
            yield from self._run([held[read] for read in window.reads], window)

    def _load(self, frame: Frame) -> _Held:
        return _Held(self.grid.pad(to_torch([frame])[0, 0].to(self.device)))

    def _run(self, frames: Sequence[_Held], window: _Window) -> list[Frame]:
        """Restore one window and return the frames of it that count."""
        keep = range(window.skip, window.skip + window.count)
        with calling.inference(self.device, self.precision):
            answers = (
                self._answer(number, tile, frames, keep)
                for number, tile in enumerate(self.grid.tiles)
            )
            return from_torch(self.grid.join(answers))

    def _answer(self, number: int, tile: Tile, frames: Sequence[_Held], keep: range) -> Tensor:
        """Restore one tile of one window: [1, len(keep), 3, h, w]."""
        import torch

        parts = [held.frame[:, tile.rows, tile.columns] for held in frames]
        clip = torch.stack(parts)[None]
        if not self.model.info.staged:
            return calling.call(self.model, clip)[:, keep.start : keep.stop]
        model = cast("StagedRestorer", self.model)
        codes: list[calling.Codes] = []
        for held, part in zip(frames, parts, strict=True):
            if number not in held.codes:
                codes.append(calling.encode(model, part))
                if sum(other.bytes for other in frames) + _bytes(codes[-1]) <= KEPT_BYTES:
                    held.codes[number] = codes[-1]
            else:
                codes.append(held.codes[number])
        return calling.decode(model, clip, codes, keep)

    def _window(self, number: int) -> _Window:
        return _window(number, len(self), self.model.info, self.step)


@dataclass
class _Held:
    """A padded frame [3, H, W] that windows still need, and the codes of its tiles."""

    frame: Tensor
    codes: dict[int, calling.Codes] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(_bytes(codes) for codes in self.codes.values())


@dataclass(frozen=True)
class _Window:
    """Which frames a model reads at once, and which of its answers become frames of the clip."""

    reads: tuple[int, ...]
    first: int
    count: int
    skip: int


def _step(info: ModelInfo, stride: int | None) -> int:
    if info.emits == "center":
        return 1
    if info.window is None:
        return CHUNK
    return min(stride or info.stride or info.window, info.window)


def _window(number: int, length: int, info: ModelInfo, step: int) -> _Window:
    """Return the number-th window over a clip.

    The frames that it adds lie in its middle; at the ends of the clip a window is moved so that it
    is full, and only one that is longer than the clip repeats frames.
    """
    first = number * step
    count = min(step, length - first)
    if info.window is None:
        start = max(0, first - CONTEXT)
        reads = tuple(range(start, min(length, first + count + CONTEXT)))
        return _Window(reads, first, count, first - start)
    start = first - (info.window - step) // 2
    if info.emits == "all":
        start = max(0, min(start, length - info.window))
    inside = (min(max(i, 0), length - 1) for i in range(start, start + info.window))
    return _Window(tuple(inside), first, count, first - start)


def _bytes(codes: calling.Codes) -> int:
    return sum(code.numel() * code.element_size() for code in codes)
