"""Open video files locally and strictly, and turn decoded pictures into 8-bit RGB by one rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.media.images import LARGEST_SIDE

# Containers that hold their own pictures. Playlists and concatenations (hls, concat, dash, image2)
# could name other files or hosts, so they are not opened whatever the file is called.
_DEMUXERS = "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg,yuv4mpegpipe"
_LOCAL_ONLY = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
# A decoder that conceals errors would invent pictures.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}

# Matrix coefficients (ITU-T H.273) -> swscale's number, name.
_MATRICES = {
    1: (1, "bt709"),
    4: (4, "fcc"),
    5: (5, "bt601"),
    6: (5, "bt601"),
    7: (7, "smpte240m"),
    9: (9, "bt2020"),
}
_UNTAGGED = {0, 2, 3}
_HDR = {16: "PQ (SMPTE 2084)", 18: "HLG (ARIB STD-B67)"}
_FULL_RANGE = 2


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a local video file and lend its PyAV container and first video stream.

    Raises InputError if it is no video, holds no video stream, or a picture larger than
    8192 x 8192; nothing is decoded before that is known.
    """
    try:
        container = av.open(
            f"file:{path}", container_options=_LOCAL_ONLY, metadata_errors="replace"
        )
    except av.error.FFmpegError as error:
        raise InputError(f"{path} is not a video that can be opened ({error.strerror})") from error
    with container:
        yield container, _video_stream(container, path)


def _video_stream(container: Any, path: Path) -> Any:
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        raise InputError(f"{path} holds no video stream, only sound or other data")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(f"{path} is coded in a way that this build of PyAV cannot decode")
    check_size(path, stream.height, stream.width)
    # Frame threading hides truncation: the decoder ends early without an error.
    stream.thread_type = "SLICE"
    stream.codec_context.options = _STRICT
    return stream


def check_size(path: Path, height: int, width: int) -> None:
    """Refuse a picture without pixels or beyond 8192 x 8192."""
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise InputError(
            f"{path} claims to be {width} x {height} pixels; "
            f"1 x 1 to {LARGEST_SIDE} x {LARGEST_SIDE} can be read"
        )


@dataclass(frozen=True)
class Picture:
    """How the decoded pictures of one stream become RGB; fixed by its first picture."""

    pixel_format: str
    coded_size: tuple[int, int]
    kind: str  # yuv, rgb or grey
    bits: int
    matrix: int
    matrix_name: str
    full_range: bool
    assumed: bool
    rotation: int  # degrees, anticlockwise, a multiple of 90

    @property
    def size(self) -> tuple[int, int]:
        """Height and width after the rotation."""
        return self.coded_size if self.rotation % 180 == 0 else self.coded_size[::-1]

    def matches(self, frame: Any) -> bool:
        """Say whether a picture has the size and format that this rule was made for."""
        return (frame.format.name, frame.height, frame.width) == (
            self.pixel_format,
            *self.coded_size,
        )

    def to_rgb(self, frame: Any, reformatter: VideoReformatter) -> Frame:
        """Convert one decoded picture; more than 8 bits are rounded once, at the end."""
        deep = self.bits > 8
        converted = reformatter.reformat(
            frame,
            format="rgb48le" if deep else "rgb24",
            src_colorspace=self.matrix,
            src_color_range=_FULL_RANGE if self.full_range else 1,
            interpolation=int(Interpolation.BICUBIC),
            threads=1,
        )
        pixels: Any = converted.to_ndarray()
        if deep:
            pixels = _round_to_8(pixels, self._white)
        return np.ascontiguousarray(np.rot90(pixels, self.rotation // 90))

    @property
    def _white(self) -> int:
        """The 16-bit value that swscale gives to white: it shifts, it does not stretch."""
        if self.kind == "rgb":
            return 65535
        return ((1 << self.bits) - 1) << (16 - self.bits) if self.full_range else 255 << 8


def _round_to_8(pixels: NDArray[np.uint16], white: int) -> Frame:
    return np.minimum((pixels.astype(np.uint32) * 255 + white // 2) // white, 255).astype(np.uint8)


def picture_rule(frame: Any, path: Path) -> Picture:
    """Derive the conversion from a stream's first picture, or refuse what has none.

    Untagged YUV is read as BT.709 from 720 lines upwards and as BT.601 below; `assumed` says so.
    """
    if frame.color_trc in _HDR:
        raise InputError(
            f"{path} is high dynamic range video, {_HDR[frame.color_trc]}: convert it to BT.709 "
            "first, how is a matter of taste"
        )
    bits = max(component.bits for component in frame.format.components)
    if bits > 16:
        raise InputError(f"{path} has {bits} bits a channel ({frame.format.name}); at most 16 work")
    if frame.rotation % 90:
        raise InputError(f"{path} asks to be rotated by {frame.rotation} degrees; turn it first")
    kind = _kind(frame.format)
    untagged = frame.colorspace in _UNTAGGED
    tag = (1 if frame.height >= 720 else 6) if untagged or kind != "yuv" else frame.colorspace
    if tag not in _MATRICES:
        raise InputError(f"{path} has colour matrix {tag} (H.273), which is not supported")
    matrix, name = _MATRICES[tag]
    return Picture(
        pixel_format=frame.format.name,
        coded_size=(frame.height, frame.width),
        kind=kind,
        bits=bits,
        matrix=matrix,
        matrix_name=name if kind == "yuv" else kind,
        full_range=kind != "yuv"
        or frame.color_range == _FULL_RANGE
        or frame.format.name.startswith("yuvj"),
        assumed=untagged and kind == "yuv",
        rotation=frame.rotation % 360,
    )


def _kind(pixel_format: Any) -> str:
    if pixel_format.is_rgb or pixel_format.has_palette:
        return "rgb"
    colours = [c for c in pixel_format.components if not c.is_alpha]
    return "grey" if len(colours) == 1 else "yuv"


def picture_notes(frame: Any, container: Any, stream: Any) -> list[str]:
    """Say what a viewer of the RGB frames would not see: shape of pixels, fields, alpha, gamut."""
    notes = []
    ratio = stream.sample_aspect_ratio
    if ratio and ratio != 1:
        notes.append(f"pixels are not square ({ratio.numerator}:{ratio.denominator}); kept so")
    if frame.interlaced_frame:
        notes.append("the pictures are interlaced; the fields are kept woven")
    if any(component.is_alpha for component in frame.format.components):
        notes.append("the alpha channel was dropped")
    if frame.color_primaries == 9:
        notes.append("the primaries are BT.2020; the numbers are kept, not mapped to BT.709")
    if len(container.streams.video) > 1:
        notes.append("the file holds several video streams; the first is read")
    return notes
