"""What training hands from the data to the losses: plain tensors, and two protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", "Layers", "Unlabelled", "Around", "Batch")


@dataclass(frozen=True)
class Layers:
    """The known layers of rendered snow, in display values: snowy = clean·T + A·(1 − T) + S."""

    S: Tensor
    """[B, T, 3, c, c]; signed, for flakes may be darker than what is behind them."""
    T: Tensor
    """[B, T, 1, c, c] in [0.05, 1]."""
    A: Tensor
    """[B, T, 3, c, c] in [0, 1]."""
    z: Tensor
    """[B, T, 1, c, c] in [0, 1], the coverage: the mask of the snow."""

    def to(self, device: torch.device | str) -> Layers:
        """Return the same on another device."""
        return _moved(self, device)


@dataclass(frozen=True)
class Unlabelled:
    """The same real crops under two augmentations that move no pixel, the same in all frames."""

    weak: Tensor
    """[B', T, 3, c, c] in [0, 1]: what the teacher sees."""
    strong: Tensor
    """[B', T, 3, c, c] in [0, 1]: what the student sees."""
    videos: tuple[int, ...]
    """Which samples are from the same clip."""

    def to(self, device: torch.device | str) -> Unlabelled:
        """Return the same on another device."""
        return _moved(self, device)


@dataclass(frozen=True)
class Around:
    """The pictures that windows are cut from, made small: what a network may know of the rest."""

    picture: Tensor
    """[B, 3, h, w] in [0, 1]: the mean of the snowy frames."""
    transmission: Tensor | None
    """[B, 1, h, w] in [0.05, 1], T; None where it is not known."""
    place: Tensor
    """[B, 4]: top, left, height and width of the window, in shares of the picture's."""

    def to(self, device: torch.device | str) -> Around:
        """Return the same on another device."""
        return _moved(self, device)


@dataclass(frozen=True)
class Batch:
    """What one step learns from: B windows of T frames, c pixels a side."""

    snowy: Tensor
    """[B, T, 3, c, c] in [0, 1]."""
    clean: Tensor
    """[B, T, 3, c, c] in [0, 1]."""
    layers: Layers | None
    """None where the data has none, as RVSD."""
    videos: tuple[int, ...]
    """Which samples are from the same snowfall or video; equal numbers are the same."""
    unlabelled: Unlabelled | None = None
    """Real snow without truth, if there is any and the recipe wants it."""
    around: Around | None = None
    """Where the windows are cut from, if the recipe wants it and the data can tell."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the same on another device."""
        return _moved(self, device)


@dataclass(frozen=True)
class Source:
    """A clip that was learned from: what the card says of it."""

    name: str
    digest: str
    """The SHA-256 of its bytes, as `files.digest_source` gives it."""
    role: str = "train"
    """`train`, `held out` or `unlabelled`."""


class Feed(Protocol):
    """Endless batches; picklable, so that worker processes can prepare them."""

    @property
    def sources(self) -> Sequence[Source]:
        """Every clip that training uses, in a fixed order."""

    @property
    def snow(self) -> str:
        """The SHA-256 of the recipe of the snow that is rendered, "" where it is in the data."""

    def batch(self, step: int) -> Batch:
        """Return batch `step`, from 0 on: a pure function of the feed's seed and of `step`."""

    def validation(self) -> Sequence[tuple[Tensor, Tensor]]:
        """Return held-out windows (snowy, clean), each [T, 3, H, W] in [0, 1], always the same."""


class FeatureExtractor(Protocol):
    """A pretrained classifier's feature maps, for the losses that compare pictures by them."""

    def __call__(self, frames: Tensor, /) -> Sequence[Tensor]:
        """Return the maps of frames [N, 3, H, W] in [0, 1], from fine to coarse."""


class Objective(Protocol):
    """The losses of a network. A recipe weighs them, the engine adds them up.

    It is what `build(weights, *, features, **settings)` in `baselines/<network>/objective.py`
    returns. That module also names its terms, all as frozensets of names: `TERMS`;
    `FEATURE_TERMS`, those that need a FeatureExtractor; `UNLABELLED_TERMS`, those that need
    `Batch.unlabelled`.
    """

    terms: frozenset[str]

    def __call__(
        self, student: nn.Module, teacher: nn.Module, batch: Batch, step: int, steps: int
    ) -> Mapping[str, Tensor]:
        """Return the unweighted terms that are weighed above 0, as scalars.

        A term whose data the batch does not have is left out. The teacher is in eval mode and
        takes no gradient.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers from step to step: tensors, numbers, lists and texts."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there: a resumed training equals one that never stopped."""


def _moved(value: M, device: torch.device | str) -> M:
    """Return a dataclass whose tensors, at any depth, lie on a device."""
    parts = {item.name: getattr(value, item.name) for item in fields(value)}
    moved: dict[str, Any] = {k: v.to(device) for k, v in parts.items() if hasattr(v, "to")}
    return replace(value, **moved)
