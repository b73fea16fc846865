"""Read a video file as a clip: every frame that the file declares, at its own time, or an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import readable
from rvsd_bench.media.containers import find_damage
from rvsd_bench.media.decoding import Picture, opened, picture_notes, picture_rule
from rvsd_bench.media.folders import DEFAULT_FPS
from rvsd_bench.media.mp4_index import require_modest_index
from rvsd_bench.media.packets import PacketIndex, index_packets
from rvsd_bench.media.video_writing import write_ffv1 as write_ffv1
from rvsd_bench.media.video_writing import write_preview as write_preview


class _Cursor:
    """Where a clip was last read, so that reading forward needs no new start; never pickled."""

    def __init__(self) -> None:
        self.frames: Iterator[Any] = iter(())
        self.next: int | None = None
        self.reformatter = VideoReformatter()

    def __reduce__(self) -> tuple[type[_Cursor], tuple[()]]:
        return _Cursor, ()


@dataclass(frozen=True, eq=False)
class VideoClip:
    """A clip in a video file. Only time stamps stay in memory; it pickles and reopens the file.

    `clip[i]` begins at the last key frame before frame i, or goes on from the last frame read.
    A frame that is missing or cannot be decoded raises InputError with the file and its number.
    """

    path: Path
    fps: float
    times: NDArray[np.float64]
    facts: dict[str, Any]
    picture: Picture
    index: PacketIndex
    _cursor: _Cursor = field(default_factory=_Cursor, repr=False)
    in_order: ClassVar[bool] = True
    """To decode a frame means to decode those before it."""

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.path.stem

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, after any rotation."""
        return self.picture.size

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Frame]:
        reformatter = VideoReformatter()
        for frame in self._decode(0):
            yield self.picture.to_rgb(frame, reformatter)

    def __getitem__(self, index: int) -> Frame:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {self.name!r} has {len(self)} frames, there is no {index}")
        wanted, cursor = index % len(self), self._cursor
        if cursor.next is None or not self._is_just_ahead(cursor.next, wanted):
            cursor.frames, cursor.next = self._decode(wanted), wanted
        passed, cursor.next = wanted - cursor.next, None  # a failure leaves no position behind
        for _ in range(passed):
            next(cursor.frames)
        frame = self.picture.to_rgb(next(cursor.frames), cursor.reformatter)
        cursor.next = wanted + 1
        return frame

    def _is_just_ahead(self, here: int, wanted: int) -> bool:
        """Say whether decoding on from `here` is no longer than from a key frame."""
        if wanted < here:
            return False
        first, last = np.searchsorted(self.index.keys, self.index.pts[[here, wanted]], "right")
        return bool(first == last)

    def _decode(self, first: int) -> Iterator[Any]:
        """Yield the decoder's pictures from number `first` to the last."""
        keys = self.index.keys[self.index.keys <= self.index.pts[first]]
        if first and len(keys):
            frames = self._run(first, int(keys[-1]))
            try:
                head = next(frames)
            except InputError:  # decoding cannot begin at every key frame
                frames = self._run(first, None)
            else:
                yield head
        else:
            frames = self._run(first, None)
        yield from frames

    def _run(self, first: int, key: int | None) -> Iterator[Any]:
        """Decode from a key frame, or from the start, and yield what comes from `first` on."""
        number, waiting = (0, False) if key is None else (first, True)
        try:
            with opened(self.path) as (container, stream):
                if key is not None:
                    container.seek(key, stream=stream)
                for place, frame in enumerate(container.decode(stream)):
                    if key is not None and place == 0 and not frame.key_frame:
                        raise self._failed(first, "follows no key frame where the file names one")
                    if waiting and (frame.pts is None or frame.pts < self.index.pts[first]):
                        continue
                    waiting = False
                    self._check(frame, number)
                    if number >= first:
                        yield frame
                    number += 1
                    if number == len(self):
                        return
        except av.error.FFmpegError as error:
            raise self._failed(number, f"cannot be decoded ({error.strerror})") from error
        raise self._failed(number, "is missing, the video ends before it")

    def _check(self, frame: Any, number: int) -> None:
        if frame.is_corrupt:
            raise self._failed(number, "is damaged")
        if not self.picture.matches(frame):
            raise self._failed(
                number,
                f"is {frame.width} x {frame.height} {frame.format.name}, the first is "
                f"{self.picture.coded_size[1]} x {self.picture.coded_size[0]} "
                f"{self.picture.pixel_format}",
            )
        if self.index.seekable and frame.pts != self.index.pts[number]:
            raise self._failed(number, "is missing or out of order")

    def _failed(self, number: int, what: str) -> InputError:
        return InputError(f"{self.path}: frame {number} of {len(self)} {what}; {_REMEDY}")


_REMEDY = "replace the file; read_clip(..., allow_partial=True) reads what is before the damage"


def open_video(path: Path, *, allow_partial: bool = False) -> VideoClip:
    """Open a video file; its packets are counted and only its first frame is decoded.

    Raises InputError, in one line, for what is no regular local file, no video, without a video
    stream, truncated, damaged or high dynamic range. With `allow_partial` a damaged video is the
    frames before the damage; `facts["partial"]` counts them.
    """
    with readable(path):
        if not path.is_file():
            raise InputError(f"{path} is not a regular file")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty")
        require_modest_index(path)
        damage = find_damage(path)
    index = index_packets(path, damage)
    if index.damage and not allow_partial:
        raise InputError(f"{path} is damaged: {index.damage}; {_REMEDY}")
    clip = _describe(path, index)
    return _cut_to_good(clip) if allow_partial else clip


def _describe(path: Path, index: PacketIndex) -> VideoClip:
    with opened(path) as (container, stream):
        frame = _first_frame(path, container, stream)
        picture = picture_rule(frame, path)
        declared = float(stream.average_rate) if stream.average_rate else None
        tick = float(stream.time_base)
        facts: dict[str, Any] = {
            "kind": "video",
            "container": container.format.name,
            "codec": stream.codec_context.name,
            "pixel_format": picture.pixel_format,
            "colour_matrix": picture.matrix_name,
            "colour_range": "full" if picture.full_range else "limited",
            "colour_assumed": picture.assumed,
            "rotation": picture.rotation,
            "header_frames": stream.frames or None,
            "notes": picture_notes(frame, container, stream),
        }
    if index.seekable:
        times = (index.pts - index.pts[0]) * tick
    else:
        times = index.pts / (declared or DEFAULT_FPS)
        facts["notes"].append("the file has no usable time stamps; frames are evenly spaced")
    fps, facts["variable_frame_rate"] = _rate(times, declared, tick)
    return VideoClip(path, fps, times, facts, picture, index)


def _first_frame(path: Path, container: Any, stream: Any) -> Any:
    try:
        for frame in container.decode(stream):
            return frame
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: frame 0 cannot be decoded ({error.strerror})") from error
    raise InputError(f"{path} holds packets but no frame can be decoded from them")


def _rate(times: NDArray[np.float64], declared: float | None, tick: float) -> tuple[float, bool]:
    """Return frames per second, and whether the steps differ by more than the clock's rounding."""
    if len(times) < 2:
        return declared or DEFAULT_FPS, False
    steps, span = np.diff(times), float(times[-1] - times[0])
    typical, rounding = float(np.median(steps)), max(tick, 1e-3)
    if np.abs(steps - typical).max() > 1.01 * rounding:
        return round(1 / typical, 6), True
    mean = len(steps) / span
    if declared and abs(declared / mean - 1) <= 2 * rounding / span:
        return declared, False
    return round(mean, 6), False


def _cut_to_good(clip: VideoClip) -> VideoClip:
    good = 0
    with suppress(InputError):
        for _ in islice(clip._decode(0), clip.index.sound):
            good += 1
    if good == 0:
        told = clip.index.damage or "frame 0 cannot be decoded"
        raise InputError(f"{clip.path} is damaged: {told}; no frame before that can be had")
    if good == len(clip) and not clip.index.damage:
        return clip
    partial = {"declared": max(len(clip), clip.facts["header_frames"] or 0), "kept": good}
    index = replace(clip.index, pts=clip.index.pts[:good])
    return replace(
        clip, times=clip.times[:good], index=index, facts=clip.facts | {"partial": partial}
    )
