"""Film a photograph with a camera that moves, to have clean clips where there is no video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.seeds import stream

CAMERAS = ("handheld", "pan", "drive")
FPS = 25.0
_BEYOND_PX = 2.0
"""So far around a view the photograph goes on: the bicubic kernel reads two pixels outside."""


@dataclass(frozen=True, eq=False)
class Views:
    """Which part of a photograph each frame shows.

    `centres` [N, 2] is x, y in pixels of the photograph from its top left corner, `rolls` [N] are
    clockwise turns in radians, `scales` [N] how many of its pixels one pixel of a frame takes.
    """

    centres: NDArray[np.float64]
    rolls: NDArray[np.float64]
    scales: NDArray[np.float64]

    def maps(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return matrices [N, 2, 3] from a frame's plane to the photograph's.

        Both have their origin in the corner of the first pixel, whose centre is at (0.5, 0.5).
        """
        cos, sin = self.scales * np.cos(self.rolls), self.scales * np.sin(self.rolls)
        turns = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], axis=-2)
        middle = np.array([size[1], size[0]]) / 2
        return np.concatenate([turns, (self.centres - turns @ middle)[..., None]], axis=2)

    def corners(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return where the corners of every frame lie in the photograph, x and y [N, 4, 2]."""
        height, width = size
        plane = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
        corners: NDArray[np.float64] = plane @ self.maps(size).transpose(0, 2, 1)
        return corners


@dataclass(frozen=True, eq=False)
class MovingPhotograph:
    """A clip whose frames are parts of one photograph, made when they are asked for."""

    photograph: Frame
    views: Views
    name: str
    size: tuple[int, int]
    fps: float = FPS
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return np.arange(len(self)) / self.fps

    def __len__(self) -> int:
        return len(self.views.scales)

    def __getitem__(self, index: int) -> Frame:
        """Sample twice as finely as the frame's pixels, and take means of 2 x 2: no aliasing."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {self.name!r} has {len(self)} frames, there is no {index}")
        height, width = self.size
        plane = self.views.maps(self.size)[index] @ np.diag([0.5, 0.5, 1.0])
        plane[:, 2] += plane[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's origin is the pixel's centre
        fine = cv2.warpAffine(
            self.photograph,
            plane,
            (2 * width, 2 * height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        frame: Frame = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))


def film(
    path: Path,
    *,
    camera: str = "auto",
    frames: int = 24,
    size: tuple[int, int] = (360, 640),
    seed: int = 0,
) -> MovingPhotograph:
    """Return the clip that a camera takes of a photograph; equal seeds give equal frames.

    `handheld` trembles, `pan` goes along the photograph, `drive` comes closer to a point of it;
    `auto` draws one of them. No frame shows what is beyond the photograph, and none magnifies it.
    `size` is (height, width). Raises InputError for a photograph that is too small for that.
    """
    from rvsd_bench.media.images import read_image

    if camera != "auto" and camera not in CAMERAS:
        raise unknown("camera", camera, ["auto", *CAMERAS])
    if frames < 2 or min(size) < 16:
        raise InputError(f"a clip has 2 or more frames of 16 x 16 or more, got {frames} of {size}")
    photograph = read_image(path)
    chance = stream(seed, "moving photograph", path.stem)
    drawn = CAMERAS[int(chance.random() * len(CAMERAS))]
    camera = drawn if camera == "auto" else camera
    views = _laid(_travel(camera, frames, chance), photograph.shape[:2], size, chance, path)
    photograph, views = _shrunk(photograph, views)
    facts = {"photograph": path.name, "camera": camera, "seed": seed}
    return MovingPhotograph(photograph, views, path.stem, size, FPS, facts)


def _travel(camera: str, frames: int, chance: np.random.Generator) -> Views:
    """Return the camera's way in widths of the view around the origin, its scales around 1."""
    seconds = np.arange(frames) / FPS
    calm = 1.0 if camera == "handheld" else 0.35
    x, y, roll, zoom = (_tremor(seconds, chance) for _ in range(4))
    centres = calm * 0.02 * np.stack([x, y], axis=1)
    scales = np.exp(calm * 0.008 * zoom)
    part = np.linspace(-0.5, 0.5, frames)
    length, angle, ease = chance.random(3)
    if camera == "pan":
        eased = part + 0.12 * ease * np.sin(2 * np.pi * part)
        direction = np.array([np.sign(angle - 0.5), 0.24 * (chance.random() - 0.5)])
        centres = centres + (0.06 + 0.3 * length) * eased[:, None] * direction
    elif camera == "drive":
        closer = np.exp(-(0.08 + 0.3 * length) * (part + 0.5))
        vanishing = 0.24 * (chance.random(2) - 0.5)
        centres = centres * closer[:, None] + (1 - closer)[:, None] * vanishing
        scales = scales * closer
    return Views(centres, np.radians(calm * 0.8) * roll, scales)


def _tremor(seconds: NDArray[np.float64], chance: np.random.Generator) -> NDArray[np.float64]:
    """Return smooth noise of a hand, about 0.6 in size: four slow waves, the slower the larger."""
    waves = np.array([0.4, 0.9, 1.7, 2.9]) * (0.8 + 0.4 * chance.random(4))
    phases = 2 * np.pi * chance.random(4)
    angles = 2 * np.pi * waves * seconds[:, None] + phases
    tremor: NDArray[np.float64] = np.sin(angles) @ (0.5 / waves**0.8)
    return tremor


def _laid(
    views: Views,
    photograph: tuple[int, int],
    size: tuple[int, int],
    chance: np.random.Generator,
    path: Path,
) -> Views:
    """Lay the camera's way into the photograph: as large as fits or a little less, anywhere."""
    corners = Views(views.centres * size[1], views.rolls, views.scales).corners(size)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    inside = np.array(photograph[::-1]) - 2 * _BEYOND_PX
    largest = float(np.min(inside / (high - low)))
    finest = float(views.scales.min())
    if largest * finest < 1:
        needed = np.ceil((high - low) / finest + 2 * _BEYOND_PX).astype(int)
        raise InputError(
            f"{path} is {photograph[1]} x {photograph[0]} pixels; this camera needs "
            f"{needed[0]} x {needed[1]} for frames of {size[1]} x {size[0]}: lower --size, or "
            "leave the photograph out"
        )
    scale = max(1 / finest, largest * (0.7 + 0.3 * chance.random()))
    room = inside - scale * (high - low)
    origin = _BEYOND_PX + chance.random(2) * room - scale * low
    return Views(origin + scale * size[1] * views.centres, views.rolls, scale * views.scales)


def _shrunk(photograph: Frame, views: Views) -> tuple[Frame, Views]:
    """Shrink a photograph by area, as long as a frame's pixel still takes two of it each way."""
    part = min(1.0, 2 / float(views.scales.max()))
    if part == 1:
        return photograph, views
    height, width = (max(1, round(part * side)) for side in photograph.shape[:2])
    small: Frame = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
    factors = np.array([width, height]) / photograph.shape[1::-1]
    return small, Views(views.centres * factors, views.rolls, views.scales * factors.min())


def write_moving(clip: MovingPhotograph, out: Path, **told: str) -> Path:
    """Write a clip losslessly to `out`/<name>.mkv, what is known of it beside it as JSON.

    `told` says whose the photograph is: author, licence, source. Returns the path of the video.
    """
    from rvsd_bench.files import make_folder, remove_orphans, write_json
    from rvsd_bench.media.video_writing import write_ffv1

    make_folder(out)
    remove_orphans(out)
    video = out / f"{clip.name}.mkv"
    write_ffv1(video, clip, clip.fps)
    write_json(video.with_suffix(".json"), {**clip.facts, "frames": len(clip), **told})
    return video
