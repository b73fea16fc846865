"""Render snow into a clip: what is known of a shot beforehand, then any frame by itself.

The module is not called `render`, for the package exports a function of that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.colour import decode_srgb, encode_srgb
from rvsd_bench.generators.compose import compose, facts, gain_for
from rvsd_bench.generators.depth import DepthSource, resolve_depth
from rvsd_bench.generators.dust import Dust, fill_shells
from rvsd_bench.generators.flight import Flight
from rvsd_bench.generators.haze import depth_index, depth_levels, transmission_table, veil_depth
from rvsd_bench.generators.light import LUMA, estimate_light
from rvsd_bench.generators.motion import Motion, resolve_motion
from rvsd_bench.generators.outlines import outlines
from rvsd_bench.generators.population import GAIN, View, populate, smallest_area_px2
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.generators.scene import Scene
from rvsd_bench.generators.size_law import size_law
from rvsd_bench.generators.splat import splat
from rvsd_bench.generators.turbulence import modes

SKY_SHARE = 0.9
"""A flake before bright sky is at most so bright as the sky: real ones are darker than it."""


@dataclass(frozen=True, eq=False)
class Shot:
    """All that is fixed for one clip: scene, depth, light, flakes. `render_frame` draws from it."""

    scene: Scene
    size: tuple[int, int]
    times: NDArray[np.float64]
    depth: DepthSource
    a16: NDArray[np.uint16]
    gain: int
    transmission: NDArray[np.uint16]
    dust: Dust
    dust_light: NDArray[np.float32]
    flight: Flight
    outlines: NDArray[np.float32]
    facts: dict[str, Any]
    """What `meta` records, as JSON values."""


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """One frame with its layers, from which `compose` makes the same bytes again.

    `clean` and `snowy` are uint8 RGB; `t16`, `z16`, `p16` uint16 [H, W]; `a16` uint16 [3].
    """

    clean: Frame
    snowy: Frame
    t16: NDArray[np.uint16]
    z16: NDArray[np.uint16]
    p16: NDArray[np.uint16]
    a16: NDArray[np.uint16]
    gain: int
    domain: str = "linear"

    @property
    def J(self) -> NDArray[np.float64]:
        """The clean frame in the composing domain, float64 [H, W, 3] in [0, 1]."""
        display = self.clean / 255.0
        return decode_srgb(display) if self.domain == "linear" else display

    @property
    def T(self) -> NDArray[np.float64]:
        """Transmission of the air, float64 [H, W, 1] in [0, 1]."""
        return self.t16[..., None] / 65535.0

    @property
    def A(self) -> NDArray[np.float64]:
        """Atmospheric light in the composing domain, float64 [3] in [0, 1]."""
        return self.a16 / 65535.0

    @property
    def z(self) -> NDArray[np.float64]:
        """Coverage by flakes, float64 [H, W, 1] in [0, 1]."""
        return self.z16[..., None] / 65535.0

    @property
    def S(self) -> NDArray[np.float64]:
        """What the flakes add, A·p − z·J', float64 [H, W, 3]: below 0 where they are darker."""
        p = self.p16[..., None] * (self.gain / 65535.0)
        return self.A * p - self.z * (self.J * self.T + self.A * (1 - self.T))


def prepare(
    clip: Clip,
    scene: Scene | Recipe,
    *,
    seed: int,
    source_id: str = "",
    variant: int = 0,
    depth: str = "auto",
    motion: str = "auto",
    path: Path | None = None,
) -> Shot:
    """Do once per clip what does not depend on the frame; a `Recipe` is drawn first.

    `depth` and `motion` are specs of `resolve_depth` and `resolve_motion`; `path` is where the clip
    lies, for depth maps beside it. Raises InputError for numbers that do not fit the clip.
    """
    if isinstance(scene, Recipe):
        scene = scene.draw(seed, source_id, variant)
    height, width = clip.size
    focal = scene.camera.focal_px(width)
    depths = resolve_depth(
        clip,
        depth,
        path_of_clip=path,
        focal_px=focal,
        height_m=scene.depth.camera_height_m,
        horizon=scene.depth.horizon,
        far_m=scene.depth.far_m,
    )
    camera = resolve_motion(
        clip, motion, focal, height_m=scene.depth.camera_height_m, horizon=scene.depth.horizon
    )
    light, light_facts = _light(clip, scene, depths)
    a16 = _quantised(light, scene.compose.domain)
    brightest = _brightest(a16, light_facts["bright_sky"], scene.compose.domain)
    law = size_law(scene.snow)
    view = View(focal, clip.size, scene.camera.near_m)
    area = smallest_area_px2(law, scene, view)
    key = (seed, source_id, variant)
    flakes = populate(law, scene, view, area, brightest, key)
    gain = gain_for(max(1.0, float(flakes.traits[:, GAIN].max())))
    levels = depth_levels(depths.far_m)
    areas = (area, area / scene.tiers.dust_ratio)
    drift = tuple(np.subtract(scene.wind.velocity_m_per_s, camera.velocity_m_per_s).tolist())
    grain = fill_shells(law, view, scene.camera, areas, depths.far_m, drift, key)
    merged = view.reach_m(law.diameter_m, areas[1])
    tau = scene.fog.extinction_per_m * levels + veil_depth(law, merged, levels)
    transmission = transmission_table(tau)
    steps = depth_index(grain.depth_m.astype(np.float32), depths.far_m)
    mean_gain = float(flakes.traits[:, GAIN].mean())
    dust_light = (1 + (mean_gain - 1) * transmission[steps] / 65535).astype(np.float32)
    return Shot(
        scene=scene,
        size=clip.size,
        times=np.asarray(clip.times),
        depth=depths,
        a16=a16,
        gain=gain,
        transmission=transmission,
        dust=grain,
        dust_light=dust_light,
        flight=Flight(
            flakes,
            modes(scene.wind, key),
            scene.wind.velocity_m_per_s,
            camera.velocity_m_per_s,
            scene.camera,
            view,
        ),
        outlines=outlines(),
        facts={
            "scene": asdict(scene),
            "seed": seed,
            "variant": variant,
            "source_id": source_id,
            "compose": facts(scene.compose.domain, gain),
            "atmospheric_light": {"value16": a16.tolist(), **light_facts},
            "depth": dict(depths.facts),
            "motion": _motion_facts(camera),
            "population": {"count": len(flakes), "sha256": flakes.digest()},
        },
    )


def render_frame(shot: Shot, index: int, clean: Frame) -> RenderedFrame:
    """Render frame `index` of a shot; no other frame is needed, and the order does not matter."""
    domain = shot.scene.compose.domain
    indices = depth_index(shot.depth.at(index, clean), shot.depth.far_m)
    t16 = shot.transmission[indices]
    C = np.ones(shot.size, np.float32)
    P = np.zeros(shot.size, np.float32)
    shot.dust.draw(float(shot.times[index]), indices, shot.dust_light, C, P)
    splat(
        shot.flight.seen(float(shot.times[index])),
        indices,
        shot.transmission,
        shot.outlines,
        shot.depth.far_m,
        shot.scene.camera.psf_sigma_px,
        shot.scene.snow.opacity,
        C,
        P,
    )
    z16 = np.rint(65535 * (1 - C)).astype(np.uint16)
    p16 = np.rint(P * np.float32(65535 / shot.gain)).astype(np.uint16)
    snowy = compose(clean, t16, z16, p16, shot.a16, shot.gain, domain)
    return RenderedFrame(clean, snowy, t16, z16, p16, shot.a16, shot.gain, domain)


def render(
    clip: Clip,
    scene: Scene | Recipe,
    seed: int = 0,
    *,
    source_id: str = "",
    variant: int = 0,
    depth: str = "auto",
    motion: str = "auto",
    path: Path | None = None,
) -> Iterator[RenderedFrame]:
    """Render every frame of a clip, one at a time; the arguments are those of `prepare`."""
    shot = prepare(
        clip,
        scene,
        seed=seed,
        source_id=source_id,
        variant=variant,
        depth=depth,
        motion=motion,
        path=path,
    )
    for index, clean in enumerate(clip):
        yield render_frame(shot, index, clean)


def _light(
    clip: Clip, scene: Scene, depths: DepthSource
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    if scene.light.airlight is not None:
        given = np.array(scene.light.airlight)
        return given, {"linear": given.tolist(), "rule": "given", "bright_sky": None}
    light, story = estimate_light(clip, depths)
    return light, {"linear": light.tolist(), **story}


def _brightest(a16: NDArray[np.uint16], bright_sky: float | None, domain: str) -> float:
    """Return the largest radiance of a flake over the air's: it may not clip, nor outshine sky."""
    limit = 65535 / float(a16.max())
    if bright_sky is None:
        return limit
    sky = bright_sky if domain == "linear" else float(encode_srgb(np.array(bright_sky)))
    return min(limit, SKY_SHARE * sky / float(LUMA @ a16 / 65535))


def _quantised(light: NDArray[np.float64], domain: str) -> NDArray[np.uint16]:
    value = light if domain == "linear" else encode_srgb(light)
    return np.rint(65535 * np.clip(value, 0, 1)).astype(np.uint16)


def _motion_facts(camera: Motion) -> dict[str, Any]:
    return {
        "method": camera.method,
        "velocity_m_per_s": list(camera.velocity_m_per_s),
        "confidence": camera.confidence,
        "focus_of_expansion": camera.focus_of_expansion,
        **camera.facts,
    }
