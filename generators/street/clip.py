"""Film our rendered street: offline footage with the exact depth of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.colour import enc8
from rvsd_bench.errors import InputError
from rvsd_bench.generators.street import shading
from rvsd_bench.generators.street.plans import PLANS
from rvsd_bench.generators.street.raster import Pinhole
from rvsd_bench.generators.street.scenes import world
from rvsd_bench.generators.street.shading import World
from rvsd_bench.seeds import stream

SCENES = tuple(PLANS)
GRAIN_LEVELS = 0.8
EXPOSURE = 1.15


@dataclass(frozen=True)
class StreetClip:
    """A drive down a street that never was; frames are rendered when they are asked for."""

    count: int
    size: tuple[int, int]
    fps: float
    speed_m_per_s: float
    seed: int
    scene: str
    height_m: float
    horizon: float
    world: World

    @property
    def name(self) -> str:
        """The scene's name."""
        return self.scene

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return np.arange(self.count) / self.fps

    @property
    def focal_px(self) -> float:
        """The focal length in pixels: 0.9 of the width, as everywhere unless given."""
        return 0.9 * self.size[1]

    @property
    def facts(self) -> dict[str, Any]:
        """How to render the same clip again."""
        return {
            "rendered": self.scene,
            "seed": self.seed,
            "speed_m_per_s": self.speed_m_per_s,
            "focal_px": self.focal_px,
            "camera_height_m": self.height_m,
            "horizon": self.horizon,
        }

    @property
    def velocity_m_per_s(self) -> tuple[float, float, float]:
        """The camera's velocity in its own axes: x right, y down, z forward."""
        _, y, z = self.camera(0).turn @ (0, 0, self.speed_m_per_s)
        return 0.0, float(y), float(z)

    def camera(self, index: int) -> Pinhole:
        """Return the camera of a frame."""
        lane = PLANS[self.scene].lane
        pitch = float(np.arctan((0.5 - self.horizon) * self.size[0] / self.focal_px))
        place = (lane, self.height_m, self.speed_m_per_s * index / self.fps)
        return Pinhole(place, pitch, self.focal_px, self.size)

    def depth(self, index: int) -> NDArray[np.float32]:
        """Return the planar z of what each pixel's centre sees, float32 [H, W]; sky is infinite."""
        return shading.depth(self.world, self.camera(self._checked(index)))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Frame:
        position = self._checked(index)
        linear = shading.picture(self.world, self.camera(position))
        return _developed(linear, stream(self.seed, "grain", position))

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(self.count))

    def _checked(self, index: int) -> int:
        if not -self.count <= index < self.count:
            raise IndexError(f"the clip has {self.count} frames, there is no {index}")
        return index % self.count

    def __reduce__(self) -> tuple[Callable[..., StreetClip], tuple[Any, ...]]:
        """Travel to other processes as a recipe, not as a city."""
        recipe = (self.count, self.size, self.fps, self.speed_m_per_s, self.seed, self.scene)
        return render_street, recipe


def render_street(
    frames: int = 50,
    size: tuple[int, int] = (360, 640),
    fps: float = 25.0,
    speed_m_per_s: float = 8.0,
    seed: int = 0,
    scene: str = "street",
) -> StreetClip:
    """Return a drive through `street` (town houses) or `avenue` (evening), the same for one seed.

    `size` is (height, width). The camera looks ahead from 1.5 m above the right lane, with the
    horizon at 0.45 of the height, and moves straight on. Raises InputError for bad numbers.
    """
    if frames < 1 or min(size) < 16 or not fps > 0 or not 0 <= speed_m_per_s <= 60:
        raise InputError(
            f"a street needs at least 1 frame of 16x16 pixels, fps above 0 and 0 to 60 m/s; got "
            f"{frames} frames of {size[1]}x{size[0]}, fps {fps}, {speed_m_per_s} m/s"
        )
    place = world(scene, seed, speed_m_per_s * frames / fps)
    return StreetClip(frames, size, fps, speed_m_per_s, seed, scene, 1.5, 0.45, place)


def _developed(linear: NDArray[np.float32], random: np.random.Generator) -> Frame:
    """Turn linear light into an 8-bit picture: a soft shoulder, sRGB, and a little grain."""
    knee = 0.65
    linear = EXPOSURE * linear
    bright = np.maximum(linear - knee, 0)
    toned = np.minimum(linear, knee) + (1 - knee) * (1 - np.exp(-bright / (1 - knee)))
    shown = enc8()[np.rint(np.clip(toned, 0, 1) * 65535).astype(np.int64)].astype(np.float32)
    grain = random.random((2, *shown.shape[:2]), np.float32).sum(axis=0) - 1  # triangular
    grainy = np.rint(shown + 2.45 * GRAIN_LEVELS * grain[..., None])
    return np.asarray(np.clip(grainy, 0, 255), np.uint8)
