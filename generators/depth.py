"""Say how far away every pixel is: planar z in metres, from files, a ground plane or a constant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.generators.aligning import aligned_levels, metres, shrunk
from rvsd_bench.generators.depth_files import open_depth_files
from rvsd_bench.generators.depth_mono import ABSENT, open_mono, weights_folder
from rvsd_bench.generators.foreground import foreground
from rvsd_bench.generators.motion import Motion
from rvsd_bench.generators.obstacles import ENDS, LOW_ENDS, Feet, follow_feet, set_up
from rvsd_bench.generators.parallax import Parallax, follow_parallax
from rvsd_bench.generators.sky import sky_cover
from rvsd_bench.generators.viewpoint import OVERHEAD_HORIZON, OVERHEAD_M, looks_down

GROUND_FAR_M = 70.0
"""Where the ground plane ends: objects at the vanishing point would else wear a band of haze."""
RIDDEN_FAR_M = 200.0
"""The same where parallax shows how far away those objects are."""
SKY_M = 400.0
"""How deep the sky is before a plane: so far that it does not stay blue when it snows hard."""
SKY_BELOW = 0.25
"""How far below a known horizon sky is looked for, in heights of the picture: roads climb, and
what the sky fades out towards must be seen, or a white line near the horizon goes with it."""
FILE_FAR_M = 150.0
FARTHEST_M = 5000.0
NEAR_M = 1.0
WALLS_M = 10.0
ROUGH_WIDTH_PX = 640
"""Depth is guessed on pictures made smaller by a whole number, about so wide, then aligned."""


class DepthSource(Protocol):
    """The depth of each frame of one clip; access has no memory, and sources can be pickled."""

    @property
    def name(self) -> str:
        """What the depth is from: `ground`, `constant`, `files`, `clip` or `mono`."""

    @property
    def far_m(self) -> float:
        """The depth of sky; no depth is larger."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Everything needed to obtain the same depth again, as JSON values."""

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W]; `frame` spares decoding frame `index`."""


@runtime_checkable
class SteppedDepth(Protocol):
    """A source that rounds its depth by itself, which spares rendering to do so."""

    def levels(self, index: int, frame: Frame | None = None) -> NDArray[np.uint16]:
        """Return planar z in steps of far/65535, uint16 [H, W]: what `at` rounds to."""


@runtime_checkable
class ClipWithDepth(Protocol):
    """A clip that knows its own depth, as our rendered street does."""

    def depth(self, index: int) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W]."""


@dataclass(frozen=True)
class ConstantDepth:
    """The same depth everywhere: for tests and for flat targets."""

    size: tuple[int, int]
    far_m: float
    name: str = "constant"

    @property
    def facts(self) -> dict[str, Any]:
        """The one number."""
        return {"source": self.name, "depth_m": self.far_m}

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W]."""
        return np.full(self.size, self.far_m, np.float32)


@dataclass(frozen=True)
class OwnDepth:
    """The depth that the clip itself knows."""

    clip: Any
    far_m: float
    name: str = "clip"

    @property
    def facts(self) -> dict[str, Any]:
        """Name the source and its limit."""
        return {"source": self.name, "far_m": self.far_m}

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W], sky at `far_m`."""
        known: NDArray[np.float32] = self.clip.depth(index)
        return np.minimum(known, np.float32(self.far_m))


@dataclass(frozen=True)
class GroundDepth:
    """A level road between two rows of houses or trees, following the edges of the picture."""

    clip: Clip
    focal_px: float
    height_m: float
    horizon: float
    far_m: float
    feet: Feet | None = None
    """Where that which stands on the road has its foot; None if this is not known."""
    parallax: Parallax | None = None
    """How far what stands above the horizon is, as the ride past it shows; None at rest."""
    front: NDArray[np.float32] | None = None
    """Where something stands right before a resting camera, [h, w] in [0, 1]; None if nowhere."""
    overhead: bool = False
    """Nothing but ground is seen: there are neither walls nor sky."""
    fallback: str | None = None
    """What would have been better than a plane, and is not there."""
    name: str = "ground"
    _level: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    """Inverse depth of the road, beyond which nothing lies; above the horizon that of the sky."""
    _inverse: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    """Inverse depth of the street."""

    def __post_init__(self) -> None:
        factor = max(1, round(self.clip.size[1] / ROUGH_WIDTH_PX))
        height, width = self.clip.size
        size = max(1, height // factor), max(1, width // factor)
        focal = self.focal_px * size[1] / width
        end = min(self.far_m, GROUND_FAR_M if self.parallax is None else RIDDEN_FAR_M)
        plane = ground_plane(size, focal, self.height_m, self.horizon, end)
        walls = side_walls(size, focal, end)
        level = ground_plane(size, focal, self.height_m, self.horizon, self.far_m)
        object.__setattr__(self, "_level", 1 / level)
        street = plane if self.overhead else np.minimum(plane, walls)
        if self.front is not None:
            street = self._fronted(street)
        object.__setattr__(self, "_inverse", 1 / street)

    @property
    def facts(self) -> dict[str, Any]:
        """The numbers of the plane."""
        numbers = {
            "source": self.name,
            "camera_height_m": self.height_m,
            "horizon": self.horizon,
            "focal_px": self.focal_px,
            "view": "overhead" if self.overhead else "street",
            "walls_m": None if self.overhead else WALLS_M,
            "obstacles": self.feet is not None,
            "parallax": self.parallax is not None,
            "foreground": self.front is not None,
            "far_m": self.far_m,
        }
        return numbers if self.fallback is None else numbers | {"fallback": self.fallback}

    def at(self, index: int, frame: Frame | None = None) -> NDArray[np.float32]:
        """Return planar z in metres, float32 [H, W], aligned with the edges of the frame."""
        return metres(self.levels(index, frame), self.far_m)

    def levels(self, index: int, frame: Frame | None = None) -> NDArray[np.uint16]:
        """Return the same in steps of far/65535, uint16 [H, W], which it is rounded to."""
        picture = self.clip[index] if frame is None else np.ascontiguousarray(frame)
        small = shrunk(picture, self._level.shape)
        inverse = self._standing(index)
        if not self.overhead:
            lowest = 1.0 if self.feet is None else self.horizon + SKY_BELOW
            sky = sky_cover(small, small.shape[1] / picture.shape[1], lowest)
            inverse = inverse + sky * (np.float32(1 / self.far_m) - inverse)
        return aligned_levels(inverse, small, picture, self.far_m)

    def _fronted(self, street: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the street with what stands before the camera as near as the lowest row."""
        import cv2

        front = cv2.resize(self.front, street.shape[1::-1])
        inverse = 1 / street
        near = np.maximum(inverse[-1:].min(), inverse)
        return np.asarray(1 / (inverse + front * (near - inverse)), np.float32)

    def _standing(self, index: int) -> NDArray[np.float32]:
        """Return the inverse depth of the street and of what stands on it in a frame."""
        height, width = self._inverse.shape
        inverse = self._inverse
        if self.parallax is not None:
            inverse = self.parallax.over(inverse, self._level, index)
        if self.feet is None:
            return inverse
        foot_px = self.feet.at(index, width) * np.float32(height)
        focal_height = self.focal_px * self.height_m * width / self.clip.size[1]
        ends = ENDS if self.parallax is None else LOW_ENDS
        return set_up(inverse, foot_px, self.horizon * height, focal_height, ends)


def ground_plane(
    size: tuple[int, int], focal_px: float, height_m: float, horizon: float, far_m: float
) -> NDArray[np.float32]:
    """Return the planar depth of a level road: z = f h / (y - y_horizon), at most `far_m`.

    `horizon` is a fraction of the picture's height. Pixel centres lie at half numbers.
    """
    height, width = size
    below = np.arange(height) + 0.5 - horizon * height
    with np.errstate(divide="ignore"):
        rows = np.where(below > 0, focal_px * height_m / below, np.inf)
    rows = np.clip(rows, NEAR_M, far_m).astype(np.float32)
    return np.repeat(rows[:, None], width, axis=1)


def side_walls(size: tuple[int, int], focal_px: float, far_m: float) -> NDArray[np.float32]:
    """Return the planar depth of walls `WALLS_M` left and right: z = f w / |x - middle|.

    They stand for whatever lines a road; without them a tree beside the camera would be as far as
    the vanishing point.
    """
    height, width = size
    across = np.abs(np.arange(width) + 0.5 - width / 2)
    columns = np.clip(focal_px * WALLS_M / np.maximum(across, 0.5), NEAR_M, far_m)
    return np.repeat(columns.astype(np.float32)[None, :], height, axis=0)


def resolve_depth(
    clip: Clip,
    spec: str = "auto",
    *,
    path_of_clip: Path | None = None,
    focal_px: float | None = None,
    height_m: float = 1.5,
    horizon: float = 0.45,
    far_m: float | None = None,
    horizon_known: bool = False,
    resting: bool = False,
    ride: Motion | None = None,
) -> DepthSource:
    """Find the depth of a clip.

    `spec` is `ground`, `mono` (a network, see `depth_mono`), `constant:METRES`, a file or folder of
    depth maps, or `auto`: the clip's own depth, else maps beside the clip, else the network if it
    is on this machine, else `ground`. `far_m` is the depth of the sky. Where the horizon is known
    and not assumed, what stands on the road is as far as the road at its foot. A `resting` camera
    whose pictures show nothing but ground looks down on it from a mast; by the parallax of a `ride`
    forward one sees how far away the things above the horizon are. Raises InputError for a
    spec or a depth map that cannot be used, and MissingError where the network is absent.
    """
    file_far = FILE_FAR_M if far_m is None else far_m
    fallback = None
    if spec == "auto":
        if isinstance(clip, ClipWithDepth):
            return OwnDepth(clip, file_far)
        beside = None if path_of_clip is None else depth_beside(path_of_clip)
        if beside is None and weights_folder() is None:
            fallback = ABSENT
        spec = str(beside or ("mono" if fallback is None else "ground"))
    if spec == "mono":
        return open_mono(clip, file_far)
    if spec.startswith("constant:"):
        return ConstantDepth(clip.size, _metres(spec))
    if spec != "ground":
        return open_depth_files(spec, clip, file_far)
    focal = 0.9 * clip.size[1] if focal_px is None else focal_px
    far, overhead = SKY_M if far_m is None else far_m, False
    if resting and not horizon_known and looks_down(clip):
        height_m, horizon, overhead = max(height_m, OVERHEAD_M), OVERHEAD_HORIZON, True
        far = GROUND_FAR_M if far_m is None else far_m
    feet = follow_feet(clip, horizon) if horizon_known else None
    parallax = None if ride is None else follow_parallax(clip, ride)
    front = foreground(clip, horizon) if resting and not overhead else None
    return GroundDepth(
        clip, focal, height_m, horizon, far, feet, parallax, front, overhead, fallback
    )


def depth_beside(path: Path) -> Path | None:
    """Return the maps that lie beside a clip: `<stem>.depth/` or `<stem>_depth.png|npy|exr`."""
    stem = path.name if path.is_dir() else path.stem
    folder = path.with_name(f"{stem}.depth")
    if folder.is_dir():
        return folder
    files = (path.with_name(f"{stem}_depth{suffix}") for suffix in (".png", ".npy", ".exr"))
    return next((file for file in files if file.is_file()), None)


def _metres(spec: str) -> float:
    try:
        metres = float(spec.removeprefix("constant:"))
    except ValueError:
        metres = float("nan")
    if not 0 < metres <= FARTHEST_M:
        raise InputError(
            f"depth {spec!r}: give metres above 0 and up to {FARTHEST_M:g}, as in constant:30"
        )
    return metres
