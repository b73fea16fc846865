"""Hold the snowfall as a whole to physics; docs/generator.md lists what else does."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest

from rvsd_bench.generators import preset
from rvsd_bench.generators.flight import DEPTH, DU, U
from rvsd_bench.generators.outlines import outlines
from rvsd_bench.generators.scene import Camera, Scene, Snow
from rvsd_bench.generators.size_law import size_law
from rvsd_bench.generators.snowfall import Snowfall, snowfall
from rvsd_bench.generators.splat import splat

SIZE = (120, 200)


@cache
def _fall(scene: Scene, far_m: float = 60.0, seed: int = 3) -> Snowfall:
    return snowfall(scene, SIZE, far_m, 2.0, (0.0, 0.0, 0.0), (seed, "physics"))


def _splatted(fall: Snowfall, rows: Any, depth_m: float, shapes: Any = None) -> tuple[Any, Any]:
    C, P = np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32)
    depth = np.full(SIZE, round(depth_m / fall.far_m * 65535), np.uint16)
    opacity, psf = fall.scene.snow.opacity, fall.scene.camera.psf_sigma_px
    shapes = outlines() if shapes is None else shapes
    splat(rows, depth, fall.transmission, shapes, fall.far_m, psf, opacity, C, P)
    return C, P


def test_single_flakes_take_the_light_that_their_share_of_the_size_law_takes() -> None:
    """The mean of C over many moments against exp(-tau) of the flakes drawn singly."""
    scene = Scene(snow=Snow(rate_mm_per_h=4.0, opacity=1.0), camera=Camera(hfov_deg=30.0))
    fall = _fall(scene)
    law, view = size_law(scene.snow), fall.flight.view
    reach = view.reach_m(law.diameter_m, fall.facts["single_from_px2"])
    expected = float(law.cross_section_per_m @ (reach - view.near_m))
    seen = [_splatted(fall, fall.flight.seen(time), 60.0)[0] for time in np.arange(40) * 1.7]
    assert -np.log(np.mean(seen)) == pytest.approx(expected, rel=0.08)
    assert expected > 0.02


def test_far_haze_thickens_by_fog_and_snow_and_near_haze_by_fog_alone() -> None:
    """The slope of -ln T over depth: before any flake merges into the veil, and after all did."""
    scene = preset("moderate")
    camera = dataclasses.replace(scene.camera, hfov_deg=120.0)
    scene = dataclasses.replace(scene, camera=camera)
    fall = _fall(scene, 700.0)
    tau, depth = -np.log(fall.transmission / 65535), np.linspace(0, 700.0, 65536)

    def slope(first_m: float, last_m: float) -> float:
        at = np.searchsorted(depth, [first_m, last_m])
        return float(np.diff(tau[at])[0] / np.diff(depth[at])[0])

    fog, snow = scene.fog.extinction_per_m, fall.facts["snow_extinction_per_m"]
    assert slope(0.0, 0.3) == pytest.approx(fog, abs=2e-4)
    assert slope(300.0, 600.0) == pytest.approx(fog + snow, rel=2e-3)
    assert (np.diff(fall.transmission.astype(int)) <= 0).all()


def test_behind_a_wall_no_flake_is_drawn() -> None:
    """Before a wall at 2 m the planes are those of the flakes nearer than 2 m alone."""
    fall = _fall(preset("heavy"))
    rows = fall.flight.seen(1.0)
    near = rows[rows[:, DEPTH] < 2.0 + 0.5 * fall.far_m / 65535]
    assert 0 < len(near) < len(rows)
    for whole, part in zip(_splatted(fall, rows, 2.0), _splatted(fall, near, 2.0), strict=True):
        assert (whole == part).all()


def test_mirrored_flakes_make_the_mirrored_planes() -> None:
    fall = _fall(preset("heavy"))
    rows = fall.flight.seen(1.0)
    mirrored = rows.copy()
    mirrored[:, U], mirrored[:, DU] = SIZE[1] - rows[:, U], -rows[:, DU]
    # An outline lies along the path of its flake: mirrored, it is turned over beside the path.
    turned_over = np.ascontiguousarray(outlines()[:, ::-1])
    planes, others = _splatted(fall, rows, 60.0), _splatted(fall, mirrored, 60.0, turned_over)
    for plane, other in zip(planes, others, strict=True):
        assert np.abs(plane - other[:, ::-1]).max() < 1e-5
    assert np.abs(planes[0] - others[0]).max() > 0.1
