"""The camera: how its field of view can be given, and what its shutter does to a flake."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, prepare, preset, render_frame
from rvsd_bench.generators.flight import DU, DV, Flight, U, V
from rvsd_bench.generators.population import Population, View
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.generators.region import Region
from rvsd_bench.generators.scene import Camera, Wind
from rvsd_bench.generators.turbulence import modes
from rvsd_bench.recipe import structure


def test_sensor_and_focal_length_are_another_way_to_give_the_field_of_view() -> None:
    scene = Recipe({"camera": {"sensor_mm": 36, "focal_mm": 50}}).draw(0)
    # 36 mm of sensor on 1920 pixels: 50 mm are 50 / 36 picture widths.
    assert scene.camera.focal_px(1920) == pytest.approx(1920 * 50 / 36)
    assert scene.camera.hfov_deg == pytest.approx(39.6, abs=0.05)  # a normal lens, as sold
    assert structure(Scene, json.loads(json.dumps(dataclasses.asdict(scene))), "meta") == scene


def test_the_focal_length_alone_changes_the_blur_and_not_the_view() -> None:
    scene = Recipe({"camera": {"focal_mm": 50}}).draw(0)
    assert scene.camera.focal_px(1000) == Scene().camera.focal_px(1000)
    assert math.degrees(2 * math.atan(500 / scene.camera.focal_px(1000))) == pytest.approx(58.1)


@pytest.mark.parametrize(
    ("camera", "fault"),
    [
        ({"hfov_deg": 60, "sensor_mm": 36}, "camera needs one of hfov_deg and sensor_mm"),
        ({"sensor_mm": 0}, "camera sensor_mm is 0, must lie in [1, 100]"),
        ({"sensor_mm": {"uniform": [5, 500]}}, "camera sensor_mm is 500"),
        ({"sensor_mm": 36, "focal_mm": 600}, "camera.hfov_deg is 3.4"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(camera: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=re.escape(fault)):
        Recipe({"camera": camera})


VIEW = View(288.0, (180, 320), 0.3, 150.0)


def _seen(rolling_s: float, place: Any, velocity: Any) -> NDArray[np.float64]:
    """Return what is drawn of a flake that flies straight, at 1 m/s downwards besides."""
    traits = np.array([[0.01, 1e3, 1.0, 0.0, 0.0, 0.0, 1.0]])
    flake = Population(np.array([place], np.float64), np.full((1, 3), 1e3), traits)
    camera = Camera(shutter_s=0.004, rolling_shutter_s=rolling_s)
    still = modes(Wind((0.0, 0.0, 0.0), turbulence_m_per_s=0.0), ("t",))
    rows = Flight(flake, still, velocity, (0.0, 0.0, 0.0), camera, VIEW).seen(0.0)
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    ("place", "velocity"),
    [
        ((-1.5, 0.9, 3.2), (40.0, 0.0, 0.0)),  # fast and lateral
        ((0.3, -0.5, 2.0), (0.0, 15.0, 0.0)),  # with the reading of the rows
        ((0.3, 0.9, 3.0), (-4.0, -20.0, 0.0)),  # against it
        ((0.2, 0.3, 2.0), (3.0, 0.0, -25.0)),  # towards a driving camera
    ],
)
def test_a_rolling_shutter_shows_a_flake_where_it_is_when_its_row_is_read(
    place: Any, velocity: Any
) -> None:
    height, rolling = 180, 0.03

    def picture(time: float) -> Any:
        x, y, z = np.array(place) + time * np.add(velocity, (0, 1, 0))
        return 288 * x / z + 160, 288 * y / z + 90

    row = _seen(rolling, place, velocity)
    for delay, drawn in ((0.0, row[[U, V]]), (0.004, row[[U, V]] + row[[DU, DV]])):

        def early(time: float, delay: float = delay) -> float:
            return delay + rolling * float(picture(time)[1]) / height - time

        read = brentq(early, -0.03, 0.06)
        assert drawn == pytest.approx(picture(read), abs=1e-3)
    assert np.abs(row - _seen(0.0, place, velocity))[[U, V]].max() > 3


def test_rows_that_are_read_at_once_are_those_of_a_shutter_without_roll() -> None:
    place, velocity = (-1.5, 0.9, 3.2), (4.0, 0.0, -2.0)
    assert _seen(1e-12, place, velocity) == pytest.approx(_seen(0.0, place, velocity), abs=1e-6)


def test_rows_cannot_be_read_for_longer_than_a_frame_lasts() -> None:
    clip = ArrayClip(np.full((2, 36, 64, 3), 90, np.uint8), fps=25.0)
    scene = Scene(camera=Camera(rolling_shutter_s=0.05))
    with pytest.raises(InputError, match=r"camera\.rolling_shutter_s 0\.05 exceeds"):
        prepare(clip, scene, seed=1, motion="static")


@pytest.mark.parametrize("motion", ["static", "drive:60"])
def test_a_crop_under_a_rolling_shutter_in_drifting_fog_is_that_of_the_whole_frame(
    motion: str,
) -> None:
    clip = ArrayClip(np.full((4, 90, 160, 3), 90, np.uint8), fps=25.0)
    storm = preset("blizzard")
    camera = dataclasses.replace(storm.camera, rolling_shutter_s=0.04)
    scene = dataclasses.replace(storm, camera=camera)
    shot = prepare(clip, scene, seed=3, depth="constant:50", motion=motion)
    whole = render_frame(shot, 3, clip[3])
    for region in (Region(0, 0, 32, 40), Region(55, 101, 35, 59)):
        part = render_frame(shot, 3, clip[3], region)
        assert np.array_equal(part.snowy, region.of(whole.snowy))
        assert np.array_equal(part.t16, region.of(whole.t16))
