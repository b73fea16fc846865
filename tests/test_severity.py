from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators import flakes, prepare, preset, preset_names
from rvsd_bench.generators.severity import severity


def test_heavy_snow_hides_what_is_400_m_away_and_light_snow_what_is_1200_m_away() -> None:
    """A quarter and three quarters of a mile, in the table of the weather services."""
    assert severity(preset("heavy")).visibility_m <= 400
    assert severity(preset("light")).visibility_m >= 1200
    order = ("flurry", "light", "moderate", "heavy", "blizzard")
    assert set(order) <= set(preset_names())
    far = [severity(preset(name)).visibility_m for name in order]
    assert (np.diff(far) < 0).all()


def test_visibility_is_that_of_the_rendered_snowfall() -> None:
    scene, clip = preset("moderate"), ArrayClip(np.zeros((1, 72, 128, 3), np.uint8), fps=25.0)
    facts = prepare(clip, scene, seed=1, depth="constant:30", motion="static").facts["snowfall"]
    assert severity(scene).visibility_m == pytest.approx(facts["visibility_m"])
    assert severity(scene).flakes_per_m3 == pytest.approx(facts["flakes_per_m3"])


def test_as_many_flakes_are_in_view_as_are_listed() -> None:
    """Of half a pixel's area or more, with the middle in the picture, over 40 moments."""
    scene = preset("moderate")
    scene = dataclasses.replace(scene, camera=dataclasses.replace(scene.camera, shutter_s=1e-5))
    clip = ArrayClip(np.zeros((40, 180, 320, 3), np.uint8), fps=1.0)
    shot = prepare(clip, scene, seed=1, depth="constant:60", motion="static")
    listed = [flakes(shot, index) for index in range(40)]
    telling = [np.sum(seen.visible & (np.pi * seen.radius_px**2 >= 0.5)) for seen in listed]
    assert np.mean(telling) == pytest.approx(severity(scene, (180, 320)).flakes_in_view, rel=0.05)
