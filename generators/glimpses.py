"""Look at a few frames of a clip for all that is found out about it before it is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame

MOST_FRAMES = 12
MOST_BYTES, MOST_SMALL_BYTES = 2**27, 2**26
"""What the frames that are kept may take, and the small ones; those beyond are decoded again."""
SMALL_PX = 320
STANDS = 1.0
"""Levels by which the first two small frames differ on average before a camera that stands."""


@dataclass
class Glimpses:
    """A clip that keeps what is read of it until `close`, so that each frame is decoded once.

    Motion, light and depth are each found from a few frames. Those of `evenly` are kept as they
    are, for they are asked for several times; of all others a small picture is.
    """

    clip: Clip
    _kept: dict[int, Frame] | None = field(default_factory=dict, repr=False)
    _small: dict[int, Frame] = field(default_factory=dict, repr=False)
    _last: tuple[int, Frame] | None = field(default=None, repr=False)

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
        if index in self._kept:
            return self._kept[index]
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        for passed in self._passed(index):
            self._read(passed)
        return self._read(index)

    def small(self, index: int) -> Frame:
        """Return a frame made `SMALL_PX` wide by area, unless it is smaller, uint8 [h, w, 3]."""
        return self._small[index] if index in self._small else narrowed(self[index])

    def _passed(self, index: int) -> range:
        """Return the frames that are decoded on the way to one, if small pictures of them help.

        They do not before a camera that stands: of its frames few are looked at.
        """
        farthest = max(self._small, default=-1)
        wanted = getattr(self.clip, "in_order", False) and {0, 1} <= self._small.keys()
        if not wanted or self._bytes(self._small) > MOST_SMALL_BYTES:
            return range(0)
        change = self._small[0].astype(np.float32) - self._small[1]
        return range(farthest + 1, index if np.abs(change).mean() > STANDS else 0)

    def _read(self, index: int) -> Frame:
        frame = self.clip[index]
        assert self._kept is not None
        if index in evenly(len(self)) and self._bytes(self._kept) + frame.nbytes <= MOST_BYTES:
            self._kept[index] = frame
        small = narrowed(frame)
        if self._bytes(self._small) + small.nbytes <= MOST_SMALL_BYTES:
            self._small[index] = small
        self._last = index, frame
        return frame

    @staticmethod
    def _bytes(frames: dict[int, Frame]) -> int:
        return len(frames) * next(iter(frames.values())).nbytes if frames else 0

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.clip)

    def close(self) -> None:
        """Let go of all frames and keep none any more."""
        self._kept, self._last = None, None
        self._small.clear()


def small(clip: Clip, index: int) -> Frame:
    """Return a frame of any clip made `SMALL_PX` wide, unless it is smaller, uint8 [h, w, 3]."""
    return clip.small(index) if isinstance(clip, Glimpses) else narrowed(clip[index])


def narrowed(frame: Frame) -> Frame:
    """Return a frame made `SMALL_PX` wide by area, unless it is smaller, uint8 [h, w, 3]."""
    import cv2

    height, width = frame.shape[:2]
    if width <= SMALL_PX:
        return frame
    size = SMALL_PX, max(16, round(SMALL_PX * height / width))
    if width >= 4 * SMALL_PX and not (height % 2 or width % 2):  # halves are found far quicker
        frame = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def evenly(count: int, most: int = MOST_FRAMES) -> list[int]:
    """Return up to `most` frames of a clip, evenly spaced; the last has a successor, if any has."""
    last = max(count - 2, 0)
    return sorted({int(index) for index in np.linspace(0, last, min(most, last + 1))})
