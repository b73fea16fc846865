"""Write one video frame by frame: both sides of the pair and the layers, with their digests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.files import make_folder, publish_folder, sha256_bytes, sha256_file, stage_bytes
from rvsd_bench.making.stored import DEGRADED, LIGHT, PLANES, StoredVideo, frame_name

if TYPE_CHECKING:
    from rvsd_bench.generators import RenderedFrame
    from rvsd_bench.generators.degradation import Degrader

Digests = dict[str, str]
"""The SHA-256 of files by their paths below the folder of the split."""


class Side(Protocol):
    """Takes one side of a pair, frame by frame."""

    def write(self, frame: Frame) -> Frame:
        """Write the next frame, and return it as its readers will see it."""


@dataclass(frozen=True)
class VideoWriter:
    """Takes the frames of one video, each once, in their order."""

    clean: Side
    snow: Side
    layers: Layers | None
    degraded: Callable[[Frame], None] | None
    digests: Digests

    def add(self, frame: RenderedFrame) -> None:
        """Write the snowy, the degraded frame and the layers that belong to the last clean one."""
        self.snow.write(frame.snowy)
        if self.degraded:
            self.degraded(frame.snowy)
        if self.layers:
            self.layers.write(frame)


@contextmanager
def opened_video(
    place: StoredVideo, fps: float, *, layers: bool, degrader: Degrader | None = None
) -> Iterator[VideoWriter]:
    """Lend a writer of a video; all of its parts but meta are there at the end of the block.

    `digests` are complete only then. On an error no part is left half done.
    """
    digests: Digests = {}
    with ExitStack() as stack:
        clean = stack.enter_context(opened_side(place, "clean", fps, digests))
        snow = stack.enter_context(opened_side(place, "snow", fps, digests))
        planes = stack.enter_context(_opened_layers(place, digests)) if layers else None
        degraded = (
            stack.enter_context(_opened_degraded(place, fps, degrader, digests))
            if degrader
            else None
        )
        yield VideoWriter(clean, snow, planes, degraded, digests)


@contextmanager
def opened_side(place: StoredVideo, kind: str, fps: float, digests: Digests) -> Iterator[Side]:
    """Lend a writer of one side of a video, the folder `kind` of its split."""
    target = place.side(kind)
    if place.container != "ffv1":
        with publish_folder(target) as folder:
            yield Pictures(folder, f"{kind}/{target.name}", digests, *_coding(place.container))
        return
    from rvsd_bench.media.video_writing import ffv1_writer

    make_folder(target.parent)
    with ffv1_writer(target, fps) as video:
        yield video
    digests[f"{kind}/{target.name}"] = sha256_file(target)


@dataclass
class Pictures:
    """Writes pictures `0000.png`, `0001.png`, ... into a folder, and notes their digests."""

    folder: Path
    name: str
    """The folder as it will be called, below the folder of the split."""
    digests: Digests
    suffix: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Frame] | None = None
    """How a reader's frame comes about, where it is not what was encoded."""
    count: int = 0

    def write(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Encode and write the next picture, and return it as its readers will see it."""
        data = self.encode(frame)
        name = frame_name(self.count, self.suffix)
        self.digests[f"{self.name}/{name}"] = _write(self.folder / name, data)
        self.count += 1
        return self.decode(data) if self.decode else frame


@dataclass
class Layers:
    """Writes the layers of frames as 16-bit pictures, each plane into a folder of its own."""

    folder: Path
    name: str
    digests: Digests
    planes: dict[str, Pictures] = field(default_factory=dict)

    def write(self, frame: RenderedFrame) -> None:
        """Write the layers of the next frame."""
        layers = dict(zip(PLANES, (frame.t16, frame.z16, frame.p16)))
        if frame.light16 is not None:
            layers[LIGHT] = frame.light16
        for plane, values in layers.items():
            if plane not in self.planes:
                make_folder(self.folder / plane)
                self.planes[plane] = Pictures(
                    self.folder / plane, f"{self.name}/{plane}", self.digests, *_coding("png")
                )
            self.planes[plane].write(values)


@contextmanager
def _opened_degraded(
    place: StoredVideo, fps: float, degrader: Degrader, digests: Digests
) -> Iterator[Callable[[Frame], None]]:
    with opened_side(place, DEGRADED, fps, digests) as side:

        def write(frame: Frame) -> None:
            for ready in degrader.push(frame):
                side.write(ready)

        yield write
        for ready in degrader.finish():
            side.write(ready)


@contextmanager
def _opened_layers(place: StoredVideo, digests: Digests) -> Iterator[Layers]:
    with publish_folder(place.layers) as folder:
        yield Layers(folder, f"layers/{place.name}", digests)


def _coding(container: str) -> tuple[Any, ...]:
    """Return the suffix of a picture, its encoder, and its decoder if it is not lossless."""
    from rvsd_bench.media.images import decode_jpeg, encode_jpeg, encode_png

    return (".jpg", encode_jpeg, decode_jpeg) if container == "jpg" else (".png", encode_png)


def _write(path: Path, data: bytes) -> str:
    stage_bytes(path, data)
    return sha256_bytes(data)
