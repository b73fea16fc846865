"""Send frames through a video coder and back, one by one, as footage that was compressed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from rvsd_bench.clip import Frame


class H264:
    """Codes frames as H.264 (x264, 4:2:0) and decodes them again, on one thread.

    Frames come back in order, but later than they went in: x264 looks ahead.
    """

    def __init__(self, size: tuple[int, int], fps: float, crf: float) -> None:
        self._size = size
        self._matrix = 1 if size[0] >= 720 else 5  # as players read untagged video
        self._reformatter = VideoReformatter()
        self._encoder: Any = av.CodecContext.create("libx264", "w")
        self._encoder.height, self._encoder.width = (side + side % 2 for side in size)
        self._encoder.pix_fmt = "yuv420p"
        self._encoder.framerate = Fraction(fps).limit_denominator(100_000)
        self._encoder.time_base = 1 / self._encoder.framerate
        # x264's macroblock tree reads memory that nobody wrote: with it no two runs are alike.
        # Coders in cameras, which do not see ahead, have no such tree.
        options = {"crf": str(crf), "preset": "medium", "threads": "1", "mbtree": "0"}
        self._encoder.options = options
        self._encoder.thread_count = 1
        self._decoder: Any = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1
        self._count = 0

    def push(self, frame: Frame) -> list[Frame]:
        """Code the next frame, and return those that are ready."""
        picture = self._coded_picture(frame)
        picture.pts, picture.time_base = self._count, self._encoder.time_base
        self._count += 1
        return self._decoded(self._encoder.encode(picture))

    def finish(self) -> list[Frame]:
        """Return the frames that were still on their way."""
        if not self._count:
            return []
        rest = self._decoded(self._encoder.encode(None))
        return rest + [self._frame(picture) for picture in self._decoder.decode(None)]

    def _coded_picture(self, frame: Frame) -> Any:
        height, width = self._size
        padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24"),
            format="yuv420p",
            dst_colorspace=self._matrix,
            src_color_range=2,
            dst_color_range=1,
            threads=1,
        )

    def _decoded(self, packets: list[Any]) -> list[Frame]:
        pictures = [picture for packet in packets for picture in self._decoder.decode(packet)]
        return [self._frame(picture) for picture in pictures]

    def _frame(self, picture: Any) -> Frame:
        converted: Any = self._reformatter.reformat(
            picture,
            format="rgb24",
            src_colorspace=self._matrix,
            src_color_range=1,
            dst_color_range=2,
            threads=1,
        )
        pixels: NDArray[np.uint8] = converted.to_ndarray()
        return np.ascontiguousarray(pixels[: self._size[0], : self._size[1]])
