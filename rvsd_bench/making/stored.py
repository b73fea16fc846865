"""Say where the parts of a generated video lie, and open them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, ClipOf, Frame
from rvsd_bench.files import discard

SPLITS = ("train", "test")
CONTAINERS = ("png", "jpg", "ffv1")
PLANES = ("transmission", "coverage", "radiance")
"""The folders of layers/<video>, each of 16-bit grey pictures."""
DEGRADED = "degraded"
"""The folder of a split that holds the snowy frames as a camera and its coder would leave them."""
SIDES = ("clean", "snow", DEGRADED, "layers")
"""The folders of a split that hold a part of each video."""
LIGHT = "light"
"""One more such folder where the light of the air varies: 16-bit RGB at an eighth of the size."""


@dataclass(frozen=True)
class StoredVideo:
    """The place of one video in a generated dataset."""

    root: Path
    split: str
    name: str
    container: str = "png"

    @property
    def label(self) -> str:
        """How people are told which video is meant: `test/00003`."""
        return f"{self.split}/{self.name}"

    @property
    def meta(self) -> Path:
        """The JSON file that is written last: with it the video counts as finished."""
        return self.root / self.split / "meta" / f"{self.name}.json"

    @property
    def layers(self) -> Path:
        """The folder of the layers."""
        return self.root / self.split / "layers" / self.name

    @property
    def suffix(self) -> str:
        """The suffix of a picture of the clean or snowy side."""
        return ".jpg" if self.container == "jpg" else ".png"

    def side(self, kind: str) -> Path:
        """Return the folder, or for ffv1 the file, of the `clean`, `snow` or `degraded` side."""
        name = f"{self.name}.mkv" if self.container == "ffv1" else self.name
        return self.root / self.split / kind / name

    def parts(self) -> list[Path]:
        """Return every path that may belong to the video, whatever its container; meta first."""
        sides = (self.root / self.split / kind for kind in SIDES)
        names = (self.name, f"{self.name}.mkv")
        return [self.meta, *(side / name for side in sides for name in names)]

    def discard(self) -> None:
        """Remove every part of the video, its meta file first, and each at once."""
        for path in self.parts():
            discard(path)


@dataclass(frozen=True)
class Timed:
    """A stored clip, with the times and facts of the footage it was made from.

    A folder of frames keeps no times, and does not know which part of the footage it is.
    """

    source: Clip
    times: NDArray[np.float64]
    fps: float
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.source.size

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        return self.source[index]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.source)


@dataclass(frozen=True)
class Reencoded(ClipOf):
    """A clip as it will be read back from JPEG pictures."""

    def __getitem__(self, index: int) -> Frame:
        return through_jpeg(self.source[index])

    def __iter__(self) -> Iterator[Frame]:
        return map(through_jpeg, self.source)


def through_jpeg(frame: Frame) -> Frame:
    """Return a frame as it is read back from the JPEG picture that is stored of it."""
    from rvsd_bench.media.images import decode_jpeg, encode_jpeg

    return decode_jpeg(encode_jpeg(frame))


def frame_name(index: int, suffix: str = ".png") -> str:
    """Return the file name of a frame, counted from 0: `0000.png`."""
    return f"{index:04d}{suffix}"


def numbered(root: Path, split: str, number: int, container: str) -> StoredVideo:
    """Return the place of a split's video by its number, counted from 0."""
    return StoredVideo(root, split, f"{number:05d}", container)
