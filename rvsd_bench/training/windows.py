"""Windows of training as they come from the data: one sample, and how samples make a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from rvsd_bench.seeds import stream
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
    """Endless windows, each a pure function of its number and of the seed; picklable."""

    @property
    def sources(self) -> Sequence[Source]:
        """Every clip, those held out too."""

    def sample(self, number: int) -> Sample:
        """Return window `number`, 0 or more."""

    def validation(self) -> Sequence[Pair]:
        """Return the held-out windows."""


def turned(sample: Sample, number: int, seed: int, *, flips: bool, transposes: bool) -> Sample:
    """Return a window mirrored left to right, or on its side, or as it is: all its frames alike.

    Never upside down, for snow falls.
    """
    chance = stream(seed, "turned window", number).random(2)
    mirror, side = flips and chance[0] < 0.5, transposes and chance[1] < 0.5
    if not mirror and not side:
        return sample

    def turn(values: Tensor) -> Tensor:
        values = values.flip(-1) if mirror else values
        return (values.transpose(-1, -2) if side else values).contiguous()

    layers = sample.layers
    if layers is not None:
        layers = Layers(*(turn(plane) for plane in (layers.S, layers.T, layers.A, layers.z)))
    return replace(sample, snowy=turn(sample.snowy), clean=turn(sample.clean), layers=layers)


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
