from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators import Scene, Shot, flakes, prepare, render_frame, snow_flow
from rvsd_bench.generators.population import FALL
from rvsd_bench.generators.scene import Camera, Snow, Wind

SIZE = (72, 128)
CALM = Scene(snow=Snow(rate_mm_per_h=2.0, flutter_m=0.0), wind=Wind((2.0, 0.1, 0.0), 0.0))


def _clip(frames: int = 4) -> ArrayClip:
    return ArrayClip(np.full((frames, *SIZE, 3), 40, np.uint8), fps=25.0)


def _shot(scene: Scene = CALM, frames: int = 4, depth: str = "constant:40", **how: Any) -> Shot:
    how = {"motion": "static"} | how
    return prepare(_clip(frames), scene, seed=4, depth=depth, **how)


@pytest.mark.parametrize("index", [0, 3])
def test_in_a_steady_wind_every_flake_moves_by_focal_length_times_way_over_depth(
    index: int,
) -> None:
    shot = _shot()
    seen = flakes(shot, index)
    fall = shot.snowfall.flight.flakes.traits[seen.id, FALL]
    way_m = 0.04 * np.column_stack([np.full(len(seen), 2.0), 0.1 + fall])
    expected = CALM.camera.focal_px(SIZE[1]) * way_m / seen.depth_m[:, None]
    assert len(seen) > 100
    assert seen.motion_px == pytest.approx(expected, abs=1e-6)
    assert seen.streak_px == pytest.approx(expected * CALM.camera.shutter_s / 0.04, abs=1e-6)
    assert (np.diff(seen.depth_m) <= 0).all()


@pytest.mark.parametrize(("motion", "nearer_m"), [("static", -0.02), ("drive:60", 0.647)])
def test_a_flake_keeps_its_number_and_moves_by_its_stated_motion(
    motion: str, nearer_m: float
) -> None:
    """In gusts, and to a camera that drives; nearly all that stay in view are found again."""
    shot = _shot(
        Scene(snow=Snow(rate_mm_per_h=3.0), wind=Wind((3.0, 0.0, 0.5), 0.8)), motion=motion
    )
    first, second = flakes(shot, 1), flakes(shot, 2)
    _, here, there = np.intersect1d(first.id, second.id, return_indices=True)
    assert len(here) > 300
    landed = first.position_px[here] + first.motion_px[here]
    error = np.linalg.norm(landed - second.position_px[there], axis=1)
    again = np.abs(first.depth_m[here] - second.depth_m[there] - nearer_m) > 0.3
    again |= error > SIZE[1] / 2  # such have come in again at the other end of their box
    assert (error[~again] < 1e-9).all() and again.mean() < 0.06
    inside = (landed > 0).all(axis=1) & (landed < [SIZE[1], SIZE[0]]).all(axis=1)
    assert inside.sum() > 100


def test_a_flake_is_visible_only_before_the_scene_and_in_the_picture() -> None:
    near, far = flakes(_shot(depth="constant:3"), 0), flakes(_shot(), 0)
    assert near.visible.any() and not near.visible[near.depth_m > 3.001].any()
    middle = far.position_px + far.streak_px / 2
    inside = (middle >= 0).all(axis=1) & (middle < [SIZE[1], SIZE[0]]).all(axis=1)
    assert (far.visible == inside).all() and not inside.all()


@pytest.mark.parametrize("depth", ["constant:40", "constant:4"])
def test_the_flow_is_the_motion_of_the_nearest_flake_that_reaches_the_pixel(depth: str) -> None:
    """Against a slow search: distances of every pixel centre from 20 points of every streak."""
    camera = Camera(shutter_s=0.02, focal_mm=20.0, f_number=2.0)
    shot = _shot(dataclasses.replace(CALM, camera=camera), depth=depth)
    flow, seen = snow_flow(shot, 1), flakes(shot, 1)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    expected, unsure = np.full((*SIZE, 2), np.nan), np.zeros(SIZE, bool)
    for i in np.flatnonzero(seen.depth_m < shot.depth.far_m):
        points = seen.position_px[i] + np.linspace(0, 1, 41)[:, None] * seen.streak_px[i]
        distance = np.min([np.hypot(x - u, y - v) for u, v in points], axis=0)
        reach = max(seen.radius_px[i] + seen.blur_px[i] / 2, 0.71)
        expected[distance <= reach] = seen.motion_px[i]
        unsure |= np.abs(distance - reach) < 0.05
    assert flow.shape == (*SIZE, 2) and flow.dtype == np.float32
    assert np.allclose(flow[~unsure], expected[~unsure], rtol=1e-6, equal_nan=True)
    assert 0.02 < np.isnan(flow[..., 0]).mean() < 0.98 and unsure.mean() < 0.5


def test_where_a_flake_hides_the_scene_there_is_flow() -> None:
    camera = Camera(shutter_s=0.001, hfov_deg=20.0)
    clip, shot = _clip(), _shot(dataclasses.replace(CALM, camera=camera))
    frame = render_frame(shot, 2, clip[2])
    known = ~np.isnan(snow_flow(shot, 2)[..., 0])
    assert (frame.z[..., 0] > 0.5).sum() > 20
    assert known[frame.z[..., 0] > 0.5].all()
    assert frame.z[known].mean() > 1.5 * frame.z[~known].mean()


def test_a_clip_of_one_frame_has_flakes_but_no_motion() -> None:
    seen = flakes(_shot(frames=1), 0)
    assert len(seen) and np.isnan(seen.motion_px).all()
