"""Put a snowfall together: single flakes, grain and veil, three parts of one size law.

The parts share out every size and depth between them, so that together they take from light what
all flakes take, and nothing is counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.dust import Dust, fill_shells
from rvsd_bench.generators.flight import DEPTH, Flight
from rvsd_bench.generators.fog import DriftingFog, drifting_fog
from rvsd_bench.generators.haze import (
    depth_index,
    depth_levels,
    looked_up,
    transmission_table,
    veil_depth,
)
from rvsd_bench.generators.headlights import at_pixels, light_flakes, strength
from rvsd_bench.generators.outlines import outlines
from rvsd_bench.generators.path import CameraPath
from rvsd_bench.generators.population import GAIN, View, gains, populate, smallest_area_px2
from rvsd_bench.generators.region import Region, whole
from rvsd_bench.generators.scene import VISIBILITY, Scene
from rvsd_bench.generators.size_law import SizeLaw, size_law
from rvsd_bench.generators.splat import splat
from rvsd_bench.generators.turbulence import modes
from rvsd_bench.generators.turning import TurningFlight


@dataclass(frozen=True, eq=False)
class Snowfall:
    """A snowfall before one camera, at every moment."""

    scene: Scene
    far_m: float
    transmission: NDArray[np.uint16]
    """[65536] what fog and veil let through, 65535 for all, down to the depth i·far/65535."""
    fog: DriftingFog | None
    """None if the fog is even; flakes are seen through even fog in any case."""
    flight: Flight | TurningFlight
    dust: Dust
    dust_light: NDArray[np.float32]
    outlines: NDArray[np.float32]
    facts: dict[str, Any]

    @property
    def brightest(self) -> float:
        """The largest radiance of a flake over that of the air, at least 1."""
        return max(1.0, float(self.flight.flakes.traits[:, GAIN].max(initial=0.0)))

    def air(
        self, time_s: float, depth: NDArray[np.uint16], region: Region | None = None
    ) -> NDArray[np.uint16]:
        """Return what the air lets through at a time, uint16 [H, W].

        `depth` is in steps of far/65535, of a region if one is given. Drifting fog is right in a
        region that begins at a sample of it, but for the last `fog.STEP_PX` rows and columns.
        """
        if self.fog is None:
            return looked_up(self.transmission, depth)
        return self.fog.transmission(time_s, depth, self._middle(region))

    def planes(
        self,
        time_s: float,
        depth: NDArray[np.uint16],
        beam: NDArray[np.float32] | None = None,
        region: Region | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return coverage and covered radiance over the air's at a time, each float32 [H, W].

        `depth` is in steps of far/65535; nothing is drawn behind it. `beam` is what headlights are
        worth in each cell of 8 x 8 pixels, if there are any. With a `region`, depth and planes are
        those of this part of the picture, and equal to it in the planes of the whole.
        """
        part = region or whole(self.flight.view.size)
        C, P = np.ones(depth.shape, np.float32), np.zeros(depth.shape, np.float32)
        self.dust.draw(time_s, depth, self.dust_light, C, P, self._middle(part))
        flakes = self.flight.seen(time_s, part)
        if beam is not None:
            wide = part.of(at_pixels(beam, self.flight.view.size))
            P += wide * self._headlit_dust(time_s, depth, part)
            light_flakes(flakes, beam, self.scene.light, self._through(flakes[:, DEPTH]))
        splat(
            flakes,
            depth,
            self.transmission,
            self.outlines,
            self.far_m,
            self.scene.camera.psf_sigma_px,
            self.scene.snow.opacity,
            C,
            P,
            (part.top, part.left),
        )
        return np.subtract(1, C, out=C), P

    def _middle(self, region: Region | None) -> tuple[float, float]:
        """Return the row and column of a region at which the picture has its middle."""
        height, width = self.flight.view.size
        top, left, _, _ = region or whole((height, width))
        return height / 2 - top, width / 2 - left

    def _through(self, depth_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the air lets through to some depths."""
        levels = depth_index(depth_m.astype(np.float32), self.far_m)
        return np.asarray(self.transmission[levels] / 65535)

    def _headlit_dust(
        self, time_s: float, depth: NDArray[np.uint16], part: Region
    ) -> NDArray[np.float32]:
        """Return what a beam of even strength adds to the grain, float32 [H, W]."""
        through = self._through(self.dust.depth_m)
        light = strength(self.scene.light, self.dust.depth_m) * through**2  # there and back
        C, P = np.ones(depth.shape, np.float32), np.zeros(depth.shape, np.float32)
        self.dust.draw(time_s, depth, light.astype(np.float32), C, P, self._middle(part))
        return P


def snowfall(
    scene: Scene,
    size: tuple[int, int],
    far_m: float,
    brightest: float,
    camera_m_per_s: tuple[float, float, float],
    key: tuple[int | str, ...],
    path: CameraPath | None = None,
) -> Snowfall:
    """Let it snow before a camera of a size (H, W) that moves at a constant velocity.

    If it follows a `path`, the velocity is its mean, and the wind is that of the first pose.
    No flake shines more than `brightest` times the air; all chance comes from streams under `key`.
    """
    law, camera = size_law(scene.snow), scene.camera
    view = View(camera.focal_px(size[1]), size, camera.near_m, far_m)
    single = smallest_area_px2(law, scene, view)
    areas = (single, single / scene.tiers.dust_ratio)
    flakes = populate(law, scene, view, single, brightest, key)
    wind = scene.wind.velocity_m_per_s
    right, down, forward = (w - c for w, c in zip(wind, camera_m_per_s, strict=True))
    drift = (right, down, forward)
    on_path = None if path is None else (path, wind)
    dust = fill_shells(law, view, camera, areas, drift, key, on_path)
    levels = depth_levels(far_m)
    veil = veil_depth(law, view.reach_m(law.diameter_m, areas[1]), levels)
    transmission = transmission_table(scene.fog.extinction_per_m * levels + veil)
    through = transmission[depth_index(dust.depth_m.astype(np.float32), far_m)] / 65535
    gain = sum(gains(scene, brightest)) / 2
    eddies, blown = modes(scene.wind, key), drift if path is None else wind
    return Snowfall(
        scene=scene,
        far_m=far_m,
        transmission=transmission,
        fog=drifting_fog(scene.fog, blown, view.focal_px, far_m, veil, key, path),
        flight=(
            Flight(flakes, eddies, wind, camera_m_per_s, camera, view)
            if path is None
            else TurningFlight(flakes, eddies, wind, path, camera, view)
        ),
        dust=dust,
        dust_light=(1 + (gain - 1) * through).astype(np.float32),
        outlines=outlines(),
        facts=_facts(scene, law, areas) | {"flakes": len(flakes), "sha256": flakes.digest()},
    )


def _facts(scene: Scene, law: SizeLaw, areas_px2: tuple[float, float]) -> dict[str, Any]:
    extinction = law.extinction_per_m + scene.fog.extinction_per_m
    return {
        "flakes_per_m3": float(law.number_per_m3.sum()),
        "snow_extinction_per_m": law.extinction_per_m,
        "visibility_m": VISIBILITY / extinction,
        "single_from_px2": areas_px2[0],
        "grain_from_px2": areas_px2[1],
    }
