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
from rvsd_bench.errors import InputError
from rvsd_bench.generators.compose import compose, facts, gain_for, in_steps
from rvsd_bench.generators.depth import ClipWithDepth, DepthSource, SteppedDepth, resolve_depth
from rvsd_bench.generators.fog import STEP_PX
from rvsd_bench.generators.glimpses import Glimpses
from rvsd_bench.generators.glow import Glow, glow_of
from rvsd_bench.generators.glow import facts as glow_facts
from rvsd_bench.generators.haze import depth_index
from rvsd_bench.generators.headlights import at_pixels, cone, over_air, strength
from rvsd_bench.generators.light import BRIGHT, NIGHT, estimate_light
from rvsd_bench.generators.lightmap import spread
from rvsd_bench.generators.motion import Motion, resolve_motion
from rvsd_bench.generators.night_air import NightAir, depth_of_cells, night_air
from rvsd_bench.generators.population import gains
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.generators.region import Region, check_inside, whole
from rvsd_bench.generators.scene import Scene
from rvsd_bench.generators.sky import LUMA
from rvsd_bench.generators.snowfall import Snowfall, snowfall

HORIZON = 0.45
"""Row of the horizon over the picture's height, where nothing else is known."""
LEAST_SIDE = 16
"""Pixels; in smaller pictures there is neither flow nor sky to find."""
SKY_SHARE = 0.9
"""A flake before bright sky is at most so bright as the sky: real ones are darker than it."""


@dataclass(frozen=True, eq=False)
class Footage:
    """What belongs to a clip, whatever falls in it: to find it costs most of what is fixed."""

    depth: DepthSource
    ride: Motion
    light: tuple[NDArray[np.float64], dict[str, Any]]
    """The light of the air, linear RGB [3], and its story, as `estimate_light` gives them."""


@dataclass(frozen=True, eq=False)
class Shot:
    """All that is fixed for one clip; `render_frame` draws from it."""

    scene: Scene
    size: tuple[int, int]
    times: NDArray[np.float64]
    depth: DepthSource
    a16: NDArray[np.uint16]
    """Light of the air, uint16 [3]; at night that away from lamps."""
    gain: int
    snowfall: Snowfall
    facts: dict[str, Any]
    """What `meta` records, as JSON values."""
    glow: Glow | None = None
    """The light of the air at night; by day it is `a16` everywhere."""
    cone: NDArray[np.float32] | None = None
    """The beam of headlights in each cell of 8 x 8 pixels, if there are any."""
    air: NightAir | None = None
    """What far snow and headlights make of the air at night."""


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """One frame with its layers, from which `compose` makes the same bytes again.

    `clean` and `snowy` are uint8 RGB; `t16`, `z16`, `p16` uint16 [H, W]; `a16` uint16 [3], or at
    night [H, W, 3], spread from `light16`.
    """

    clean: Frame
    snowy: Frame
    t16: NDArray[np.uint16]
    z16: NDArray[np.uint16]
    p16: NDArray[np.uint16]
    a16: NDArray[np.uint16]
    gain: int
    domain: str = "linear"
    light16: NDArray[np.uint16] | None = None
    """The light of the air as it is stored where it varies, uint16 [ceil(H/8), ceil(W/8), 3]."""

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
        """Atmospheric light in the composing domain, float64 [3] or [H, W, 3] in [0, 1]."""
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
    footage: Footage | None = None,
) -> Shot:
    """Do once per clip what does not depend on the frame; a `Recipe` is drawn first.

    `depth` and `motion` are specs of `resolve_depth` and `resolve_motion`; `path` is where the clip
    lies, for depth maps beside it. `footage` is what `survey` found with them, if it is known: so
    another snowfall costs little. Raises InputError for numbers that do not fit the clip.
    """
    if isinstance(scene, Recipe):
        scene = scene.draw(seed, source_id, variant)
    found = footage or survey(clip, scene, depth=depth, motion=motion, path=path)
    depths, ride = found.depth, found.ride
    _check(scene, clip, depths)
    a16, light_facts = _light(scene, *found.light)
    brightest = _brightest(a16, light_facts["bright_sky"], scene.compose.domain)
    fall = snowfall(
        scene,
        clip.size,
        depths.far_m,
        brightest,
        ride.velocity_m_per_s,
        (seed, source_id, variant),
        ride.path,
    )
    beam = _cone(scene, clip.size)
    lit = 0.0 if beam is None else float(strength(scene.light, scene.camera.near_m))
    gain = gain_for(fall.brightest + lit)
    glow = _glow(clip, scene, light_facts)
    record = {
        "scene": asdict(scene),
        "seed": seed,
        "variant": variant,
        "source_id": source_id,
        "compose": facts(scene.compose.domain, gain),
        "atmospheric_light": light_facts | {"value16": a16.tolist(), "brightest_flake": brightest},
        "depth": dict(depths.facts),
        "motion": _motion_facts(ride),
        "snowfall": fall.facts,
    }
    times = np.asarray(clip.times)
    air = None
    if glow is not None:
        usual = sum(gains(scene, brightest)) / 2
        air = night_air(scene, fall.transmission, depths.far_m, usual)
    return Shot(scene, clip.size, times, depths, a16, gain, fall, record, glow, beam, air)


def render_frame(
    shot: Shot, index: int, clean: Frame, region: Region | None = None
) -> RenderedFrame:
    """Render frame `index` of a shot; no other frame is needed, and the order does not matter.

    `clean` is the whole frame. With a `region` only that part of it is rendered, and is returned:
    pixel for pixel that part of the whole. Raises InputError for a region outside the frame.
    """
    domain, time_s = shot.scene.compose.domain, float(shot.times[index])
    part = whole(shot.size) if region is None else region
    check_inside(part, shot.size)
    grown = part.in_steps(STEP_PX, shot.size)
    inner = part.inside(grown)
    light16 = beam = rest = None
    if shot.air is None:
        depths = _depth_levels(shot, index, clean, grown)
    else:
        everywhere = _depth_levels(shot, index, clean, whole(shot.size))
        depths = np.ascontiguousarray(grown.of(everywhere))
        light16, beam, rest = _night_light(shot, index, clean, depth_of_cells(everywhere))
    t16 = np.ascontiguousarray(inner.of(shot.snowfall.air(time_s, depths, grown)))
    depth = np.ascontiguousarray(inner.of(depths))
    a16 = shot.a16 if light16 is None else np.ascontiguousarray(part.of(spread(light16, shot.size)))
    coverage, radiance = shot.snowfall.planes(time_s, depth, beam, part)
    if rest is not None:
        radiance *= part.of(at_pixels(rest, shot.size))
    clean = np.ascontiguousarray(part.of(clean))
    z16 = in_steps(coverage, 65535)
    p16 = _stored_radiance(radiance, z16, a16, shot.gain)
    snowy = compose(clean, t16, z16, p16, a16, shot.gain, domain)
    return RenderedFrame(clean, snowy, t16, z16, p16, a16, shot.gain, domain, light16)


def _depth_levels(shot: Shot, index: int, clean: Frame, part: Region) -> NDArray[np.uint16]:
    """Return the depth of a part of a frame in steps of far/65535, uint16 [H, W]."""
    if isinstance(shot.depth, SteppedDepth):
        return np.ascontiguousarray(part.of(shot.depth.levels(index, clean)))
    metres = part.of(shot.depth.at(index, clean))
    return np.ascontiguousarray(depth_index(metres, shot.depth.far_m))


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


def survey(
    clip: Clip, scene: Scene, *, depth: str = "auto", motion: str = "auto", path: Path | None = None
) -> Footage:
    """Find how deep a clip is, how its camera moves and what light its air has, as for `prepare`.

    Of the scene it uses `camera.hfov_deg`, `depth`, `light.mode` and `light.airlight`.
    """
    if min(clip.size) < LEAST_SIDE:
        raise InputError(
            f"{clip.name} is {clip.size[1]} x {clip.size[0]} pixels; snow is rendered from "
            f"{LEAST_SIDE} x {LEAST_SIDE} on"
        )
    few: Clip = clip if isinstance(clip, ClipWithDepth) else Glimpses(clip)
    depths, ride = _surroundings(few, scene, depth, motion, path)
    light = find_light(few, scene, depths)
    if isinstance(few, Glimpses):
        few.close()
    return Footage(depths, ride, light)


def _surroundings(
    clip: Clip, scene: Scene, depth: str, motion: str, path: Path | None
) -> tuple[DepthSource, Motion]:
    focal, told = scene.camera.focal_px(clip.size[1]), scene.depth
    horizon = HORIZON if told.horizon is None else told.horizon
    ride = resolve_motion(clip, motion, focal, height_m=told.camera_height_m, horizon=horizon)
    if told.horizon is None and ride.horizon is not None:
        horizon = ride.horizon
    depths = resolve_depth(
        clip,
        depth,
        path_of_clip=path,
        focal_px=focal,
        height_m=told.camera_height_m,
        horizon=horizon,
        far_m=told.far_m,
        horizon_known=told.horizon is not None or ride.focus_of_expansion is not None,
        resting=ride.path is None and not any(ride.velocity_m_per_s),
        ride=ride if ride.path is None else None,
    )
    return depths, ride


def _check(scene: Scene, clip: Clip, depths: DepthSource) -> None:
    camera, frame_s = scene.camera, 1 / clip.fps
    for name in ("shutter_s", "rolling_shutter_s"):
        if getattr(camera, name) <= frame_s * (1 + 1e-6):
            continue
        raise InputError(
            f"camera.{name} {getattr(camera, name):g} exceeds the time of a frame of {clip.name}, "
            f"{frame_s:.4g} s at {clip.fps:g} frames per second: shorten it"
        )
    if camera.near_m >= depths.far_m:
        raise InputError(
            f"camera.near_m {camera.near_m:g} is not nearer than the farthest depth of "
            f"{clip.name}, {depths.far_m:g} m"
        )


def find_light(
    clip: Clip, scene: Scene, depths: DepthSource
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return the light of the air, linear RGB [3], given or estimated, and its story."""
    given = scene.light.airlight
    if given is not None:
        return np.array(given), {"rule": "given", "bright_sky": None}
    limits = () if scene.light.mode == "day" else (NIGHT,)
    return estimate_light(clip, depths, *limits)


def _light(
    scene: Scene, linear: NDArray[np.float64], story: dict[str, Any]
) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    """Return the atmospheric light in the composing domain, uint16 [3], and what `meta` records."""
    value = linear if scene.compose.domain == "linear" else encode_srgb(linear)
    a16 = np.rint(65535 * np.clip(value, 0, 1)).astype(np.uint16)
    at_night: dict[str, Any] = {} if scene.light.mode == "day" else {"map": glow_facts()}
    if at_night and story.get("brightness", 0.0) > BRIGHT:
        at_night["warning"] = "the clip is bright: snow at night expects footage of the night"
    return a16, {"linear": linear.tolist(), **story, **at_night}


def _glow(clip: Clip, scene: Scene, light_facts: dict[str, Any]) -> Glow | None:
    if scene.light.mode == "day":
        return None
    return glow_of(clip, np.array(light_facts["linear"]), scene.light, scene.compose.domain)


def _cone(scene: Scene, size: tuple[int, int]) -> NDArray[np.float32] | None:
    if scene.light.mode != "headlight":
        return None
    return cone(scene.light, size, scene.camera.focal_px(size[1]))


def _night_light(
    shot: Shot, index: int, clean: Frame, depth: NDArray[np.uint16]
) -> tuple[NDArray[np.uint16], NDArray[np.float32] | None, NDArray[np.float32]]:
    """Return the light of the air in each cell, what headlights are worth over the glow, its share.

    Flakes get the light of the glow, whatever lies behind them; they are stored over that of all.
    """
    assert shot.glow is not None and shot.air is not None
    glow = shot.glow.at(index, clean, shot.air.opaque[depth])
    beam = None if shot.cone is None else over_air(shot.cone, shot.a16, glow)
    light16, rest = shot.air.lit(glow, depth, shot.a16, shot.cone)
    return light16, beam, rest


def _stored_radiance(
    radiance: NDArray[np.float32], z16: NDArray[np.uint16], a16: NDArray[np.uint16], gain: int
) -> NDArray[np.uint16]:
    """Return covered radiance as it is stored; where the light varies no flake outshines white."""
    p16 = in_steps(radiance, 65535 / gain)
    if a16.ndim == 1:
        return p16
    strongest = np.maximum(np.maximum(a16[..., 0], a16[..., 1]), a16[..., 2])
    air = np.maximum(strongest.astype(np.uint32), 1)
    most = np.minimum(65535 * z16.astype(np.uint32) // (np.uint32(gain) * air), 65535)
    return np.asarray(np.minimum(p16, most), np.uint16)


def _brightest(a16: NDArray[np.uint16], bright_sky: float | None, domain: str) -> float:
    """Return the largest radiance of a flake over the air's: it may not clip, nor outshine sky."""
    limit = 65535 / max(1.0, float(a16.max()))
    if bright_sky is None:
        return limit
    sky = bright_sky if domain == "linear" else float(encode_srgb(np.array(bright_sky)))
    return min(limit, SKY_SHARE * sky / float(LUMA @ a16 / 65535))


def _motion_facts(ride: Motion) -> dict[str, Any]:
    return {
        "method": ride.method,
        "velocity_m_per_s": list(ride.velocity_m_per_s),
        "confidence": ride.confidence,
        "focus_of_expansion": ride.focus_of_expansion,
        **ride.facts,
        **({} if ride.path is None else {"path": ride.path.facts()}),
    }
