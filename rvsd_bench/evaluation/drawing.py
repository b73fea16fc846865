"""Draw pictures of frames for the page: as they are, how far from the truth, and moving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.data.dataset import Video, open_clean, open_snowy
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.contender import InOrder, pixels_sha256, told
from rvsd_bench.evaluation.environment import settled
from rvsd_bench.evaluation.methods import Method, restored
from rvsd_bench.files import make_folder, sha256_bytes, write_bytes
from rvsd_bench.isolation.confined import ConfinedClip
from rvsd_bench.media.images import encode_jpeg, encode_webp

LARGE_SIDE, SMALL_SIDE, LOOP_SIDE = 800, 400, 320
"""Pixels of the longer side, at most: of the frame that all methods share, of others, moving."""
LARGE_QUALITY, SMALL_QUALITY, ERROR_QUALITY, LOOP_QUALITY = 85, 82, 60, 55
"""With these, 7 methods on 6 videos of 720p take about 21 MB of a page."""
ERROR_LEVELS = 64
"""The mean absolute error of the three channels, of 255, that is drawn as the brightest colour."""
LOOP_COLUMNS = 4
"""The frames of a loop lie row by row in one picture, so that a page can stop it anywhere."""
_VERSION = 1
"""Counts changes of how anything is drawn: pictures of before are then drawn anew."""
_HOW = (
    *(_VERSION, LARGE_SIDE, SMALL_SIDE, LOOP_SIDE, ERROR_LEVELS, LOOP_COLUMNS),
    *(LARGE_QUALITY, SMALL_QUALITY, ERROR_QUALITY, LOOP_QUALITY),
)

Kind: TypeAlias = Literal["picture", "error", "loop"]
Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])


@dataclass(frozen=True)
class Wanted:
    """One file for the page."""

    name: str
    """Its path below the pictures of the video."""
    of: str
    """`input`, `truth`, or a method's slug."""
    kind: Kind
    frames: tuple[int, ...]
    large: bool = False
    """Whether it is of the frame on which all methods are shown."""


@dataclass(frozen=True)
class Drawing:
    """The files to be drawn of one video, and the digests that its frames must have."""

    video: Video
    folder: Path
    methods: tuple[Method, ...]
    wanted: tuple[Wanted, ...]
    digests: Mapping[str, tuple[str, ...]]
    """`input`, `truth` or slug -> SHA-256 of each frame's pixels; "" where there is no frame."""

    def key(self, wanted: Wanted) -> str:
        """Return a digest of all that a file shows, and of how."""
        of = [self.digests[wanted.of][i] for i in wanted.frames]
        truth = [self.digests["truth"][i] for i in wanted.frames] if wanted.kind == "error" else []
        return sha256_bytes(repr((_HOW, wanted, of, truth)).encode())


def draw(drawing: Drawing) -> tuple[dict[str, str], list[str]]:
    """Draw the files of a video; return those that came about with their keys, and the faults.

    Only frames whose pixels are the ones that were scored are shown.
    """
    done: dict[str, str] = {}
    faults: dict[str, list[str]] = {}
    with settled():
        for of in drawing.digests:
            for wanted, data in _drawn(drawing, of, faults):
                path = drawing.folder / wanted.name
                make_folder(path.parent)
                write_bytes(path, data)
                done[wanted.name] = drawing.key(wanted)
    return done, [f"{of}: {_summed_up(found)}" for of, found in faults.items()]


def error_map(restored: Frame, truth: Frame, *, side: int | None = None) -> Frame:
    """Return |restored - truth| in colour: black is none, and the lighter the further off.

    It is the mean over the three channels, up to `ERROR_LEVELS` of 255 on a scale that never
    changes, so that maps can be compared; the colours ("inferno") rise evenly in lightness. `side`
    is the longest that the map may be: errors are averaged then, not colours.
    """
    error = cv2.absdiff(restored, truth).mean(axis=2, dtype=np.float32)
    shades = np.clip(_shrunk(error, side) * (255 / ERROR_LEVELS), 0, 255)
    coloured = cv2.applyColorMap(np.rint(shades).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), np.uint8)


def sheet(frames: Sequence[Frame]) -> Frame:
    """Return equally large frames as one picture, `LOOP_COLUMNS` a row; the rest of it is black."""
    height, width = frames[0].shape[:2]
    columns = min(LOOP_COLUMNS, len(frames))
    canvas = np.zeros((-(-len(frames) // columns) * height, columns * width, 3), np.uint8)
    for place, frame in enumerate(frames):
        top, left = place // columns * height, place % columns * width
        canvas[top : top + height, left : left + width] = frame
    return canvas


@dataclass
class _Frames:
    """The frames of one side or method, to be asked for in rising order."""

    drawing: Drawing
    of: str
    looped: int
    """The first so many, all of them wanted, are read in order: a model restores each once."""
    _next: int = 0

    @cached_property
    def _clip(self) -> Clip:
        return _open(self.drawing, self.of)

    @cached_property
    def _ordered(self) -> InOrder:
        return InOrder(self._clip)

    def read(self, index: int) -> Frame:
        """Return a frame; a confined model restores those before it on the way."""
        if index >= self.looped and not isinstance(self._clip, ConfinedClip):
            return self._clip[index]
        before, self._next = self._next, index + 1
        for passed in range(before, index):
            self._ordered.read(passed)
        return self._ordered.read(index)


def _drawn(
    drawing: Drawing, of: str, faults: dict[str, list[str]]
) -> Iterator[tuple[Wanted, bytes]]:
    """Yield the files of one side or method, encoded; each frame is opened once, in rising order.

    What goes wrong with a frame is added to the faults, and the others are drawn.
    """
    files = [wanted for wanted in drawing.wanted if wanted.of == of]
    files.sort(key=lambda wanted: wanted.kind == "error")  # these fail where the truth is damaged
    moving: list[Frame] = []
    looped = max((len(wanted.frames) for wanted in files if wanted.kind == "loop"), default=0)
    frames = _Frames(drawing, of, looped)
    for index in sorted({index for wanted in files for index in wanted.frames}):
        try:
            frame = _same(drawing, of, index, frames.read(index))
            for wanted in files:
                if index in wanted.frames and wanted.kind != "loop":
                    yield wanted, _still(drawing, wanted, frame)
                elif index in wanted.frames:
                    moving.append(_shrunk(frame, LOOP_SIDE))
                    if len(moving) == len(wanted.frames):
                        yield wanted, encode_webp(sheet(moving), LOOP_QUALITY)
        except Exception as error:  # a stranger's model may raise anything
            if (fault := told(error)) not in faults.setdefault(of, []):
                faults[of].append(fault)


def _summed_up(faults: Sequence[str]) -> str:
    """Return the first of several faults, and how many others there are."""
    return faults[0] if len(faults) == 1 else f"{faults[0]}; and {len(faults) - 1} others like it"


def _still(drawing: Drawing, wanted: Wanted, frame: Frame) -> bytes:
    """Return a picture of a frame, or of its error, encoded."""
    if wanted.kind == "error":
        (index,) = wanted.frames
        truth = _same(drawing, "truth", index, _open(drawing, "truth")[index])
        return encode_webp(error_map(frame, truth, side=SMALL_SIDE), ERROR_QUALITY)
    side, quality = (LARGE_SIDE, LARGE_QUALITY) if wanted.large else (SMALL_SIDE, SMALL_QUALITY)
    return encode_jpeg(_shrunk(frame, side), quality)


def _open(drawing: Drawing, of: str) -> Clip:
    """Open the frames of one side of the dataset, or as a method restores them."""
    snowy = open_snowy(drawing.video)
    if of == "input":
        return snowy
    clean = open_clean(drawing.video) if drawing.video.clean is not None else None
    if of == "truth":
        assert clean is not None
        return clean
    method = next(method for method in drawing.methods if method.slug == of)
    return restored(method, drawing.video, snowy, clean)


def _same(drawing: Drawing, of: str, index: int, frame: Frame) -> Frame:
    """Return a frame, or raise if it is not the one that was scored."""
    if pixels_sha256(frame) != drawing.digests[of][index]:
        frame_id = drawing.video.frame_ids[index]
        raise InputError(f"frame {frame_id} is not the one that was scored: evaluate again")
    return frame


def _shrunk(pixels: Pixels, side: int | None) -> Pixels:
    """Return pixels [H, W] or [H, W, 3] averaged down so that no side is longer than `side`."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width)) if side else 1.0
    if scale == 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[no-any-return]
