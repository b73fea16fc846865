from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, prepare, preset, render_frame
from rvsd_bench.generators.flight import ID
from rvsd_bench.generators.region import Region

SIZE = (90, 150)
REGIONS = [
    Region(0, 0, 40, 48),
    Region(50, 102, 40, 48),
    Region(13, 77, 33, 21),
    Region(31, 5, 1, 1),
    Region(0, 0, 90, 150),
    Region(8, 16, 64, 64),
]


def _clip() -> ArrayClip:
    """Noise under a bright sky, with a lamp."""
    draw = np.random.Generator(np.random.Philox(1)).random((3, *SIZE, 3))
    frames = (90 * (0.5 + draw)).astype(np.uint8)
    frames[:, :30] = 215
    frames[:, 40:46, 60:66] = 255
    return ArrayClip(frames, fps=25.0, name="noise")


def _changed(scene: Scene, **parts: dict[str, Any]) -> Scene:
    new = {k: dataclasses.replace(getattr(scene, k), **v) for k, v in parts.items()}
    return dataclasses.replace(scene, **new)


SCENES = {
    "blizzard on the move": (preset("blizzard"), "drive:60"),
    "heavy, standing": (preset("heavy"), "static"),
    "near flakes out of focus": (
        _changed(preset("heavy"), camera={"focus_m": 0.3, "focal_mm": 12.0, "near_m": 0.1}),
        "static",
    ),
    "drifting fog": (_changed(preset("heavy"), fog={"noise_amplitude": 0.6}), "drive:30"),
    "rolling shutter": (_changed(preset("heavy"), camera={"rolling_shutter_s": 0.03}), "drive:60"),
    "night": (_changed(preset("heavy"), light={"mode": "night"}), "static"),
    "headlights": (_changed(preset("heavy"), light={"mode": "headlight"}), "drive:30"),
}


@pytest.mark.parametrize("name", SCENES)
def test_a_region_is_that_part_of_the_whole_frame_pixel_for_pixel(name: str) -> None:
    scene, motion = SCENES[name]
    clip = _clip()
    shot = prepare(clip, scene, seed=3, depth="ground", motion=motion)
    whole = render_frame(shot, 1, clip[1])
    assert np.ptp(whole.z16) > 1000
    for region in REGIONS:
        part = render_frame(shot, 1, clip[1], region)
        for plane in ("clean", "snowy", "t16", "z16", "p16"):
            assert (getattr(part, plane) == region.of(getattr(whole, plane))).all(), (region, plane)
        assert np.broadcast_to(part.A, part.clean.shape).shape == (*region[2:], 3)
        assert np.allclose(part.S, region.of(whole.S), atol=1e-12)


def test_flakes_whose_middle_lies_outside_a_region_still_reach_into_it() -> None:
    """The exactness above would be cheap if no flake crossed the edges of the regions."""
    scene, motion = SCENES["near flakes out of focus"]
    shot = prepare(_clip(), scene, seed=3, depth="constant:60", motion=motion)
    region = REGIONS[2]
    rows = shot.snowfall.flight.seen(0.04, region)
    top, left, high, wide = region
    outside = (rows[:, 0] < left) | (rows[:, 0] > left + wide)
    outside |= (rows[:, 1] < top) | (rows[:, 1] > top + high)
    assert outside.sum() > 10
    assert len(rows) < 0.7 * len(shot.snowfall.flight.seen(0.04))


@pytest.mark.parametrize("name", SCENES)
def test_the_few_flakes_that_a_region_may_show_are_enough_for_it(name: str) -> None:
    scene, motion = SCENES[name]
    flight = prepare(_clip(), scene, seed=3, depth="constant:60", motion=motion).snowfall.flight
    times, left_out = np.arange(5) / 25 + 7.3, 0
    for region in REGIONS[:4]:
        few = flight.narrowed(times, region)
        left_out += len(flight.flakes) - len(few.flakes)
        for time in times:
            assert (few.seen(time, region)[:, :ID] == flight.seen(time, region)[:, :ID]).all()
    assert left_out > 0


@pytest.mark.parametrize(
    "region", [(-1, 0, 8, 8), (0, 143, 8, 8), (83, 0, 8, 8), (0, 0, 0, 8), (0, 0, 8, -1)]
)
def test_a_region_outside_the_frame_is_refused(region: tuple[int, int, int, int]) -> None:
    clip = _clip()
    shot = prepare(clip, preset("flurry"), seed=1, depth="constant:20", motion="static")
    with pytest.raises(InputError, match="150 x 90"):
        render_frame(shot, 0, clip[0], Region(*region))
