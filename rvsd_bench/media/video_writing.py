"""Write video: lossless FFV1 to keep, H.264 or GIF to look at."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import publish_file, write_bytes
from rvsd_bench.media.decoding import opened

# Every frame on its own (g), with a checksum in each slice; the number of slices is fixed, lest it
# follow the number of threads.
_FFV1 = {"level": "3", "g": "1", "slicecrc": "1"}


def write_ffv1(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write frames to a Matroska file from which they come back bit for bit; see `ffv1_writer`."""
    with ffv1_writer(path, fps) as video:
        for frame in frames:
            video.write(frame)


@contextmanager
def ffv1_writer(path: Path, fps: float) -> Iterator[Ffv1Writer]:
    """Lend a writer of a Matroska file from which frames come back bit for bit (FFV1, bgr0).

    The file is written beside `path`, opened again to count its frames, and then renamed. Equal
    frames make equal bytes. Raises InputError for frames of two sizes or none, OutputError when
    the disk is full.
    """
    options = {"fflags": "+bitexact"}  # no random identifiers
    with publish_file(path) as temporary:
        with av.open(
            str(temporary), "w", format="matroska", container_options=options
        ) as container:
            video = Ffv1Writer(path, container, fps)
            yield video
            video.finish()
        _verify(temporary, video.count, video.size)


class Ffv1Writer:
    """Writes frames into a container that is open; `ffv1_writer` lends it."""

    def __init__(self, path: Path, container: Any, fps: float) -> None:
        self.count, self.size = 0, (0, 0)
        self._path, self._container = path, container
        self._rate = Fraction(fps).limit_denominator(100_000)
        self._stream = container.add_stream("ffv1", rate=self._rate)
        self._stream.pix_fmt = "bgr0"
        self._reformatter = VideoReformatter()

    def write(self, frame: Frame) -> Frame:
        """Write the next frame, and return it."""
        _check(self._path, self.count, frame, (*self.size, 3) if self.count else frame.shape)
        if not self.count:
            self.size = self._stream.height, self._stream.width = frame.shape[:2]
            self._stream.options = _FFV1 | {"slices": "4" if min(self.size) >= 2 else "1"}
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = self._reformatter.reformat(picture, format="bgr0", threads=1)
        picture.pts, picture.time_base = self.count, 1 / self._rate
        self._container.mux(self._stream.encode(picture))
        self.count += 1
        return frame

    def finish(self) -> None:
        """Write what the encoder still holds; raise InputError if there was no frame."""
        if not self.count:
            raise _no_frames(self._path)
        self._container.mux(self._stream.encode(None))


def _verify(path: Path, count: int, size: tuple[int, int]) -> None:
    with opened(path) as (container, stream):
        found = sum(packet.size > 0 for packet in container.demux(stream))
        if (found, (stream.height, stream.width)) != (count, size):
            raise RuntimeError(f"{path} was written with {count} frames, {found} came back")


def _equal(path: Path, frames: Iterable[Frame]) -> Iterator[Frame]:
    shape = None
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        _check(path, number, frame, shape)
        yield frame
    if shape is None:
        raise _no_frames(path)


def _check(path: Path, number: int, frame: Frame, shape: tuple[int, ...]) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(f"{path}: frame {number} is not uint8 [H, W, 3]")
    if frame.shape != shape:
        raise InputError(f"{path}: frame {number} is {frame.shape}, the first is {shape}")


def _no_frames(path: Path) -> InputError:
    return InputError(f"{path} would hold no frames")


def write_preview(path: Path, frames: Iterable[Frame], fps: float) -> list[str]:
    """Write a lossy .mp4 (H.264) or .gif to look at, and return what a viewer should be told.

    H.264 as players know it halves the chroma, so odd sizes are padded by a repeated last row or
    column. The colours carry no tag and follow the rule that players apply to untagged video,
    BT.709 from 720 lines upwards and BT.601 below. The file is built in memory: it is short.
    """
    import imageio.v3

    pictures = _equal(path, frames)
    encoded = io.BytesIO()
    if path.suffix.lower() == ".gif":
        options = {"plugin": "pillow", "extension": ".gif", "duration": 1000 / fps, "loop": 0}
        imageio.v3.imwrite(encoded, list(pictures), **options)
        notes = []
    elif path.suffix.lower() == ".mp4":
        notes = _encode_mp4(encoded, pictures, fps)
    else:
        raise InputError(f"{path}: a moving preview is an .mp4 or a .gif file")
    write_bytes(path, encoded.getvalue())
    return notes


def _encode_mp4(target: io.BytesIO, frames: Iterator[Frame], fps: float) -> list[str]:
    import imageio.v3

    reformatter, notes = VideoReformatter(), []
    with imageio.v3.imopen(target, "w", plugin="pyav", extension=".mp4") as video:
        video.init_video_stream("libx264", fps=fps, pixel_format="yuv420p")
        for number, frame in enumerate(frames):
            height, width = frame.shape[:2]
            if number == 0 and (height % 2 or width % 2):
                even = f"{width + width % 2} x {height + height % 2}"
                notes.append(f"padded from {width} x {height} to {even}: H.264 needs even sizes")
            padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            video.write_frame(_yuv444(padded, reformatter), pixel_format="yuv444p")
    return notes


def _yuv444(frame: Frame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
    converted: Any = reformatter.reformat(
        picture,
        format="yuv444p",
        dst_colorspace=1 if len(frame) >= 720 else 5,
        src_color_range=2,
        dst_color_range=1,
        threads=1,
    )
    return converted.to_ndarray()  # type: ignore[no-any-return]
