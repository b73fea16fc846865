"""Say how hard it snows in a scene, in numbers that weather services and cameras know."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rvsd_bench.generators.population import View
from rvsd_bench.generators.scene import VISIBILITY, Scene
from rvsd_bench.generators.size_law import size_law

TELLING_AREA_PX2 = 0.5
"""A flake whose sharp disc covers less of the picture is not counted."""


@dataclass(frozen=True)
class Severity:
    """What a scene's numbers amount to."""

    snow_extinction_per_m: float
    """Extinction by all flakes, with efficiency 1."""
    visibility_m: float
    """Koschmieder's, 3.912 over the extinction of fog and flakes: contrast falls to 2 %."""
    flakes_per_m3: float
    flakes_in_view: float
    """The mean number of flakes before a camera that sees no ground, each of half a pixel's area
    or more."""
    wind_m_per_s: float


def severity(scene: Scene, size: tuple[int, int] = (720, 1280)) -> Severity:
    """Return the severity of a scene before a camera of a size (H, W), in closed form.

    A class of flakes that can be told apart down to the depth z fills the frustum's volume
    H·W/f²·(z³ - near³)/3.
    """
    law, camera = size_law(scene.snow), scene.camera
    view = View(camera.focal_px(size[1]), size, camera.near_m, math.inf)
    reach = view.reach_m(law.diameter_m, TELLING_AREA_PX2)
    volume = size[0] * size[1] / view.focal_px**2 * (reach**3 - view.near_m**3) / 3
    return Severity(
        snow_extinction_per_m=law.extinction_per_m,
        visibility_m=VISIBILITY / (law.extinction_per_m + scene.fog.extinction_per_m),
        flakes_per_m3=float(law.number_per_m3.sum()),
        flakes_in_view=float(law.number_per_m3 @ volume),
        wind_m_per_s=float(np.linalg.norm(scene.wind.velocity_m_per_s)),
    )
