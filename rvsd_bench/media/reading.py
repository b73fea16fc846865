"""Open any clip: a video file or a folder of frames, a part of it, at another size."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import IMAGE_SUFFIXES, image_files, natural_key
from rvsd_bench.files import VIDEO_SUFFIXES as VIDEO_SUFFIXES
from rvsd_bench.media.folders import open_folder
from rvsd_bench.media.images import LARGEST_SIDE
from rvsd_bench.texts import require_text


@dataclass(frozen=True)
class View:
    """A run of another clip's frames, perhaps resampled; time stamps stay those of the source."""

    source: Clip
    start: int
    stop: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    @property
    def fps(self) -> float:
        """The source's frames per second."""
        return self.source.fps

    @property
    def in_order(self) -> bool:
        """To decode a frame of the source means to decode those before it."""
        return getattr(self.source, "in_order", False)

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamps of these frames in the source, in seconds."""
        return self.source.times[self.start : self.stop]

    @property
    def facts(self) -> dict[str, Any]:
        """The source's facts, and what this view does to it."""
        facts = dict(self.source.facts)
        if "frames" in facts:
            facts["frames"] = facts["frames"][self.start : self.stop]
        facts["range"] = [self.start, self.stop]
        if self.size != self.source.size:
            facts["resampled"] = {"from": list(self.source.size), "filter": self._filter_name}
        return facts

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> Frame:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {self.name!r} has {len(self)} frames, there is no {index}")
        return self._resampled(self.source[self.start + index % len(self)])

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    @property
    def _filter_name(self) -> str:
        smaller = all(to <= have for to, have in zip(self.size, self.source.size))
        return "area" if smaller else "cubic"

    def _resampled(self, frame: Frame) -> Frame:
        if self.size == self.source.size:
            return frame
        how = cv2.INTER_AREA if self._filter_name == "area" else cv2.INTER_CUBIC
        resized: Frame = cv2.resize(frame, self.size[::-1], interpolation=how)
        return resized


def read_clip(
    path: str | Path,
    *,
    fps: float | None = None,
    start: int = 0,
    stop: int | None = None,
    size: tuple[int, int] | None = None,
    allow_partial: bool = False,
) -> Clip:
    """Open a video file or a folder of frames; frames are decoded when they are asked for.

    `start` and `stop` choose frames as a slice does, `size` is (width, height) to resample to (by
    area when smaller, else bicubic). `fps` sets the rate of a folder (25 if not given). With
    `allow_partial` a damaged video ends at its last good frame. Raises InputError for what cannot
    be read.
    """
    path = Path(path)
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError(f"fps must be above 0, got {fps}")
    if _is_folder(path):
        clip: Clip = open_folder(path, fps=fps)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path} is one picture: give a video file or a folder of frames")
    else:
        from rvsd_bench.media.video import open_video

        clip = open_video(path, allow_partial=allow_partial)
    if (start, stop, size) == (0, None, None):
        return clip
    return _view(clip, start, stop, size)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} does not exist: give a video file or a folder of frames"
        ) from error
    except (OSError, ValueError) as error:  # no permission, a loop of links, a name too long
        raise InputError(f"cannot read {path}: {error}") from error


def _view(clip: Clip, start: int, stop: int | None, size: tuple[int, int] | None) -> View:
    first, last, _ = slice(start, stop).indices(len(clip))
    if first >= last:
        raise InputError(
            f"clip {clip.name!r} has {len(clip)} frames, none of them in {start}:{stop}"
        )
    if size is not None and not all(1 <= side <= LARGEST_SIDE for side in size):
        raise InputError(f"size must be 1 to {LARGEST_SIDE} pixels a side, got {size}")
    return View(clip, first, last, (size[1], size[0]) if size else clip.size)


def find_clips(inputs: Sequence[Path]) -> list[Path]:
    """List the clips that some paths mean, in natural order.

    A file is a clip; a folder that holds images is one clip; any other folder stands for the video
    files and folders of frames directly inside it. A picture `<stem>_depth` beside a clip is its
    depth map, and no frame. Raises InputError for a clip whose name is no text.
    """
    found: list[Path] = []
    for path in inputs:
        inside = _clips_in(path) if _is_folder(path) else [path]
        if not inside:
            raise InputError(f"{path} holds neither frames nor video files")
        found += [clip for clip in inside if clip not in found]
    for clip in found:
        for name in (clip.absolute().name, clip.resolve().name):
            require_text(name, "the clip")
    return found


def _clips_in(folder: Path) -> list[Path]:
    images = image_files(folder)
    visible = {path for path in folder.iterdir() if not path.name.startswith(".")}
    others = visible.difference(images)
    maps = {f"{path.name if path.is_dir() else path.stem}_depth" for path in others}
    if any(image.stem not in maps for image in images):
        return [folder]
    inside = [
        path
        for path in others
        if (image_files(path) if path.is_dir() else path.suffix.lower() in VIDEO_SUFFIXES)
    ]
    return sorted(inside, key=lambda path: natural_key(path.name))
