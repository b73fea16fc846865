"""Let synthetic snow fall before the background of real footage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rvsd_bench.calibration.flakes import RUN, SnowStatistics, measure
from rvsd_bench.calibration.footage import Footage
from rvsd_bench.calibration.knobs import Take
from rvsd_bench.clip import ArrayClip, Frame
from rvsd_bench.generators import Scene, prepare, render_frame
from rvsd_bench.generators.compose import compose
from rvsd_bench.generators.size_law import size_law

MOST_FLAKES = 30_000
"""Drawn singly in a trial; the others are grain, of the same law."""


def before_camera(scene: Scene, footage: Footage) -> Scene:
    """Return the scene with the field of view of the window that was looked at."""
    focal = scene.camera.focal_px(footage.width)
    hfov = 2 * math.degrees(math.atan(footage.background.shape[1] / 2 / focal))
    return replace(scene, camera=replace(scene.camera, hfov_deg=hfov))


def imitate(
    footage: Footage,
    take: Take,
    background_m: float,
    seed: int = 0,
) -> list[list[Frame]]:
    """Render the runs of frames of a footage with synthetic snow; the same seed, the same flakes.

    The air has the haze that the footage shows, for flakes are seen through it; the background has
    its own already. What the coder of the take drops is dropped.
    """
    scene = take.scene
    scene = before_camera(with_haze(scene, footage.veil, background_m), footage)
    scene = replace(
        scene,
        light=replace(scene.light, airlight=footage.airlight),
        tiers=replace(scene.tiers, max_sim=MOST_FLAKES),
    )
    count = footage.starts[-1] + RUN
    still = np.broadcast_to(footage.background, (count, *footage.background.shape))
    clip = ArrayClip(still, fps=footage.fps, name=footage.name)
    depth = f"constant:{background_m:g}"
    shot = prepare(clip, scene, seed=seed, source_id="calibrate", depth=depth, motion="static")
    clear = np.full(clip.size, 65535, np.uint16)

    def frame(index: int) -> Frame:
        layers = render_frame(shot, index, footage.background)
        return compose(
            footage.background, clear, layers.z16, layers.p16, layers.a16, layers.gain,
            layers.domain,
        )  # fmt: skip

    frames = [frame(start + k) for start in footage.starts for k in range(RUN)]
    if take.crf:
        frames = coded(frames, footage.fps, take.crf)
    return [frames[at : at + RUN] for at in range(0, len(frames), RUN)]


def coded(frames: Sequence[Frame], fps: float, crf: float) -> list[Frame]:
    """Return frames as they come back from the coder, in their order."""
    from rvsd_bench.media.recoding import H264

    height, width, _ = frames[0].shape
    coder = H264((height, width), fps, crf)
    ready = [back for frame in frames for back in coder.push(frame)]
    return ready + coder.finish()


def imitation(footage: Footage, take: Take, background_m: float, seed: int) -> SnowStatistics:
    """Measure synthetic snow as the real snow of a footage was measured."""
    return measure(imitate(footage, take, background_m, seed), footage.threshold)


def with_haze(scene: Scene, veil: float, background_m: float) -> Scene:
    """Return the scene with the fog that the darkest things show, less what the flakes take."""
    extinction = -math.log1p(-veil) / background_m - size_law(scene.snow).extinction_per_m
    fog = replace(scene.fog, extinction_per_m=min(max(extinction, 0.0), 0.2))
    return replace(scene, fog=fog)
