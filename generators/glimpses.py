"""Look at a few frames of a clip for all that is found out about it before it is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame

MOST_FRAMES = 12
MOST_BYTES = 2**28
"""What the frames that are kept may take; those beyond are decoded each time they are asked for."""


@dataclass
class Glimpses:
    """A clip that keeps the frames read from it until `close`, so that each is decoded once.

    Motion, light and depth are each found from a few frames, for the most part the same ones.
    """

    clip: Clip
    _kept: dict[int, Frame] | None = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.clip.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.clip.size

    @property
    def times(self) -> NDArray[np.float64]:
        """The clip's time stamps in seconds."""
        return self.clip.times

    @property
    def fps(self) -> float:
        """The clip's frames per second."""
        return self.clip.fps

    @property
    def facts(self) -> dict[str, Any]:
        """The clip's facts."""
        return self.clip.facts

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: int) -> Frame:
        if self._kept is None:
            return self.clip[index]
        frame = self._kept.get(index)
        if frame is None:
            frame = self.clip[index]
            if (len(self._kept) + 1) * frame.nbytes <= MOST_BYTES:
                self._kept[index] = frame
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.clip)

    def close(self) -> None:
        """Let go of all frames and keep none any more."""
        self._kept = None


def evenly(count: int, most: int = MOST_FRAMES) -> list[int]:
    """Return up to `most` frames of a clip, evenly spaced; the last has a successor, if any has."""
    last = max(count - 2, 0)
    return sorted({int(index) for index in np.linspace(0, last, min(most, last + 1))})
