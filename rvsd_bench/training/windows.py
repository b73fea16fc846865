"""Windows of training as they come from the data: one sample, and how samples make a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from rvsd_bench.training.batches import Around, Batch, Layers, Source
from rvsd_bench.training.retouching import Composed, Touch, retouched

Pair = tuple[Tensor, Tensor]
"""A window (snowy, clean), each [T, 3, H, W] in [0, 1]."""


@dataclass(frozen=True)
class Sample:
    """One window, without the axis of the batch."""

    snowy: Tensor
    """[T, 3, c, c] in [0, 1]."""
    clean: Tensor
    layers: Layers | None
    """S, A [T, 3, c, c] and T, z [T, 1, c, c]."""
    video: int
    around: Around | None = None
    """Without the axis of the batch: picture [3, h, w], transmission [1, h, w], place [4]."""


class Samples(Protocol):
    """Endless windows, each a pure function of its place and of the seed; picklable."""

    @property
    def sources(self) -> Sequence[Source]:
        """Every clip, those held out too."""

    @property
    def snow(self) -> str:
        """The SHA-256 of the recipe of the snow that is rendered, "" where it is in the data."""

    def sample(self, step: int, place: int) -> Sample:
        """Return the window at a place of the batch of a step."""

    def validation(self) -> Sequence[Pair]:
        """Return the held-out windows."""


def turned(sample: Sample, *, mirror: bool, transpose: bool) -> Sample:
    """Return a window mirrored left to right, on its side, both or neither: all frames alike.

    Never upside down, for snow falls; and one that knows what is around it never on its side.
    """
    around = sample.around
    transpose = transpose and around is None
    if not mirror and not transpose:
        return sample

    def turn(values: Tensor) -> Tensor:
        values = values.flip(-1) if mirror else values
        return (values.transpose(-1, -2) if transpose else values).contiguous()

    if around is not None:
        top, left, height, width = around.place
        place = torch.stack([top, 1 - left - width, height, width])
        known = None if around.transmission is None else turn(around.transmission)
        sample = replace(sample, around=Around(turn(around.picture), known, place))
    return _each(sample, turn)


@dataclass(frozen=True)
class Packed:
    """A window in a third of the memory, so that hundreds can be kept."""

    snowy: Tensor
    """[T, 3, h, w], uint8, as `clean`."""
    clean: Tensor
    light: Tensor
    """A [T, 3, h, w] in float16, as T and z [T, 1, h, w]."""
    transmission: Tensor
    coverage: Tensor
    video: int
    small: Composed | None
    """The mean of its frames and layers made small, [C, rows, columns]."""


def pack(snowy: Tensor, clean: Tensor, layers: Layers, video: int, rows: int = 0) -> Packed:
    """Return a window as it is kept; what S is follows from the others. Pictures have `rows`."""
    before, after = ((values * 255).round().to(torch.uint8) for values in (clean, snowy))
    small = None
    if rows:
        whole = (snowy, clean, layers.A, layers.T, layers.z)
        small = Composed(*(made_small(values, rows) for values in whole))
    return Packed(after, before, layers.A.half(), layers.T.half(), layers.z.half(), video, small)


def made_small(frames: Tensor, rows: int) -> Tensor:
    """Return the mean of frames [T, C, h, w], its shorter side `rows` pixels at most."""
    height, width = frames.shape[-2:]
    scale = min(1.0, rows / min(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.adaptive_avg_pool2d(frames.mean(0), size)


def share_of(size: tuple[int, int], top: int, left: int, side: int) -> Tensor:
    """Return the place of a square in a picture of (height, width), as `Around` has it: [4]."""
    height, width = size
    return torch.tensor([top / height, left / width, side / height, side / width])


def unpack(packed: Packed, top: int, left: int, side: int, touch: Touch | None = None) -> Sample:
    """Return a square part of a window: A, T, z to 11 bits, S from eq. 1.

    Pictures are exact, or composed anew, to 8 bits, if there is something to `touch`.
    """

    def part(values: Tensor) -> Tensor:
        return values[..., top : top + side, left : left + side].float()

    found = Composed(
        part(packed.snowy).div_(255),
        part(packed.clean).div_(255),
        part(packed.light),
        part(packed.transmission),
        part(packed.coverage),
    )
    small = packed.small
    if touch is not None:
        grey = float(packed.clean.float().mean() / 255 if small is None else small.clean.mean())
        found = retouched(found, touch, grey)
        found = found._replace(snowy=(found.snowy * 255).round() / 255)
        small = small and retouched(small, touch, grey)
    around = None
    if small is not None:
        height, width = packed.snowy.shape[-2:]
        place = share_of((height, width), top, left, side)
        around = Around(small.snowy, small.transmission, place)
    snowy, clean, light, transmission, coverage = found
    snow = snowy - clean * transmission - light * (1 - transmission)
    layers = Layers(snow, transmission, light, coverage)
    return Sample(snowy, clean, layers, packed.video, around)


def _each(sample: Sample, change: Callable[[Tensor], Tensor]) -> Sample:
    layers = sample.layers
    if layers is not None:
        layers = Layers(*(change(plane) for plane in (layers.S, layers.T, layers.A, layers.z)))
    return replace(sample, snowy=change(sample.snowy), clean=change(sample.clean), layers=layers)


def together(samples: Sequence[Sample]) -> Batch:
    """Stack windows to a batch; it has layers if all of them have."""
    found = [sample.layers for sample in samples if sample.layers is not None]
    layers = None
    if len(found) == len(samples):
        layers = Layers(
            torch.stack([each.S for each in found]),
            torch.stack([each.T for each in found]),
            torch.stack([each.A for each in found]),
            torch.stack([each.z for each in found]),
        )
    return Batch(
        torch.stack([sample.snowy for sample in samples]),
        torch.stack([sample.clean for sample in samples]),
        layers,
        tuple(sample.video for sample in samples),
        around=_around([sample.around for sample in samples if sample.around is not None]),
    )


def _around(found: Sequence[Around]) -> Around | None:
    """Stack what is around the windows of a batch: all of them know it, or none."""
    if not found or len({each.picture.shape for each in found}) > 1:
        return None  # pictures of two shapes are no batch
    known = [each.transmission for each in found if each.transmission is not None]
    return Around(
        torch.stack([each.picture for each in found]),
        torch.stack(known) if len(known) == len(found) else None,
        torch.stack([each.place for each in found]),
    )
