"""Windows of training as they come from the data: one sample, and how samples make a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from rvsd_bench.training.batches import Batch, Layers, Source

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

    Never upside down, for snow falls.
    """
    if not mirror and not transpose:
        return sample

    def turn(values: Tensor) -> Tensor:
        values = values.flip(-1) if mirror else values
        return (values.transpose(-1, -2) if transpose else values).contiguous()

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


def pack(snowy: Tensor, clean: Tensor, layers: Layers, video: int) -> Packed:
    """Return a window as it is kept; what S is follows from the others."""
    before, after = ((values * 255).round().to(torch.uint8) for values in (clean, snowy))
    return Packed(after, before, layers.A.half(), layers.T.half(), layers.z.half(), video)


def unpack(packed: Packed, top: int, left: int, side: int) -> Sample:
    """Return a square part of a window: pictures exact, A, T, z to 11 bits, S from eq. 1."""

    def part(values: Tensor) -> Tensor:
        return values[..., top : top + side, left : left + side].float()

    snowy, clean = part(packed.snowy).div_(255), part(packed.clean).div_(255)
    light, transmission = part(packed.light), part(packed.transmission)
    snow = snowy - clean * transmission - light * (1 - transmission)
    layers = Layers(snow, transmission, light, part(packed.coverage))
    return Sample(snowy, clean, layers, packed.video)


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
    )
