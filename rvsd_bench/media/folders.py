"""Read a folder of numbered pictures as a clip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import image_files
from rvsd_bench.media.images import Header, deep_frame, read_image, read_size

DEFAULT_FPS = 25.0
"""Frames per second of a folder that nobody gave a rate for."""

_LAST_NUMBER = re.compile(r"([0-9]+)[^0-9]*$")


@dataclass(frozen=True)
class FolderClip:
    """A clip whose frames are files; nothing is kept in memory but their names."""

    path: Path
    size: tuple[int, int]
    fps: float
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds, evenly spaced by `fps`."""
        return np.arange(len(self)) / self.fps

    def __len__(self) -> int:
        return len(self.facts["frames"])

    def __getitem__(self, index: int) -> Frame:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {self.name!r} has {len(self)} frames, there is no {index}")
        path = self.path / self.facts["frames"][index]
        frame = read_image(path)
        if frame.shape[:2] != self.size:
            raise InputError(f"{path} changed its size since the clip was opened")
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))


def open_folder(path: Path, *, fps: float | None = None) -> FolderClip:
    """Open a folder of frames; the headers of all files are read, the pictures are not.

    Frames are ordered by the last number in their names (9 before 10), or naturally where no name
    has a number. Raises InputError for a gap in the numbering, two files with one number, sizes
    that differ, 16-bit pictures and symbolic links. Without `fps` 25 is assumed; `facts` says so.
    """
    files = in_order(image_files(path), path)
    headers = [read_size(file) for file in files]
    _check_headers(files, headers)
    facts: dict[str, Any] = {
        "kind": "folder",
        "frames": [file.name for file in files],
        "fps_assumed": fps is None,
        "notes": _notes(headers),
    }
    return FolderClip(path, (headers[0].height, headers[0].width), fps or DEFAULT_FPS, facts)


def frame_number(name: str) -> int | None:
    """Return the last number in a file name's stem, or None if there is none."""
    found = _LAST_NUMBER.search(Path(name).stem)
    return int(found[1]) if found else None


def in_order(files: Sequence[Path], folder: Path) -> list[Path]:
    """Return a folder's frames in order of time, or raise InputError if one is missing or twice."""
    if not files:
        raise InputError(f"{folder} holds no image files (.png, .jpg, .tif, .bmp)")
    by_number: dict[int | str, Path] = {}
    unnumbered = [file for file in files if frame_number(file.name) is None]
    if unnumbered and len(unnumbered) < len(files):
        raise InputError(
            f"{unnumbered[0]} has no number in its name, other frames beside it have: "
            "number it or take it out"
        )
    for file in files:
        key = file.stem if unnumbered else frame_number(file.name)
        assert key is not None
        if key in by_number:
            raise InputError(
                f"{folder} holds frame {key} twice, {by_number[key].name} and {file.name}: "
                "remove one"
            )
        by_number[key] = file
    if unnumbered:
        return list(files)
    numbers = sorted(key for key in by_number if isinstance(key, int))
    _check_gap(numbers, by_number, folder)
    return [by_number[number] for number in numbers]


def _check_gap(numbers: list[int], by_number: dict[int | str, Path], folder: Path) -> None:
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise InputError(
                f"{folder} has no frame {before + 1} ({by_number[before].name} is followed by "
                f"{by_number[after].name}): add it, or number the frames without a gap"
            )


def _check_headers(files: Sequence[Path], headers: Sequence[Header]) -> None:
    first = headers[0]
    for file, header in zip(files, headers):
        if header[:2] != first[:2]:
            raise InputError(
                f"{file} is {header.width} x {header.height} pixels, {files[0].name} is "
                f"{first.width} x {first.height}: all frames of a clip must have one size"
            )
        if header.bits > 8:
            raise deep_frame(file, header.mode)


def _notes(headers: Sequence[Header]) -> list[str]:
    modes = Counter(header.mode for header in headers)
    notes = []
    for mode, count in sorted(modes.items()):
        if not mode.startswith("rgb"):
            notes.append(f"{count} {mode} frames were made three-channel RGB")
        if "alpha" in mode:
            notes.append(f"the alpha channel of {count} frames was dropped")
    return notes
