"""Say what a clip is: RGB frames with time stamps, decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    import torch

Frame: TypeAlias = NDArray[np.uint8]
"""One picture: uint8 [H, W, 3], RGB."""


class Clip(Protocol):
    """A sequence of equally large frames. Random access works; going through in order is fast."""

    @property
    def name(self) -> str:
        """A short name for people: the file's or folder's stem."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds, rising, from the first frame of the source."""

    @property
    def fps(self) -> float:
        """Frames per second: declared by the source, or one over the median time step."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the reader found or assumed (colour matrix, rotation, ...), as JSON values."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame:
        """Return one frame, uint8 [H, W, 3]; negative indices count from the end."""

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class ClipOf:
    """What is told of a clip whose frames are another's, changed one for one."""

    source: Clip

    @property
    def name(self) -> str:
        """The source's name."""
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
        """What the reader found of the source."""
        return self.source.facts

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class ArrayClip:
    """A clip that already lies in memory: uint8 [N, H, W, 3]."""

    frames: NDArray[np.uint8]
    fps: float = 25.0
    name: str = "clip"
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[3] != 3:
            raise InputError(
                f"clip {self.name!r} must be uint8 [N, H, W, 3], "
                f"got {self.frames.dtype} {list(self.frames.shape)}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return np.arange(len(self.frames)) / self.fps

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        frame: Frame = self.frames[index]
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)


def to_float(frame: Frame) -> NDArray[np.float32]:
    """Turn uint8 values into float32 in [0, 1]."""
    return frame.astype(np.float32) / np.float32(255)


def to_uint8(values: NDArray[np.floating]) -> Frame:
    """Turn values in [0, 1] into uint8: clipped, then rounded half to even, never truncated."""
    rounded: Frame = np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    return rounded


def to_torch(frames: Sequence[Frame]) -> torch.Tensor:
    """Stack frames into a torch clip, float32 [1, T, 3, H, W] in [0, 1]."""
    import torch

    stacked = np.ascontiguousarray(np.stack(list(frames)).transpose(0, 3, 1, 2))
    return torch.from_numpy(stacked).to(torch.float32).div_(255).unsqueeze(0)


def from_torch(clip: torch.Tensor) -> list[Frame]:
    """Turn a torch clip [1, T, 3, H, W] in [0, 1] into frames, rounding as `to_uint8` does."""
    values = clip[0].detach().float().clamp(0, 1).mul(255).round().to("cpu").byte().numpy()
    return [np.ascontiguousarray(frame.transpose(1, 2, 0)) for frame in values]
