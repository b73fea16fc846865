"""What stands on the road: as far as its foot, steady in time, and nothing else touched."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators.depth import GroundDepth, ground_plane, resolve_depth
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.seeds import stream

H, W, HORIZON, FOCAL = 180, 320, 0.5, 288.0
FOOT, LEFT, RIGHT = 118, 150, 186
"""A car's foot 28 rows below the horizon is 288 * 1.5 / 28 = 15.4 m ahead."""
TOP = 92


def _road(noise: float = 4.0) -> NDArray[np.uint8]:
    """Return asphalt with a lane line before dark trees and a grey sky."""
    frame = np.full((H, W, 3), 90.0)
    frame[:60], frame[60:90] = (190, 195, 200), (40, 60, 35)
    for row in range(90, H):
        middle = int(160 + 1.2 * (row - 90))
        frame[row, middle : middle + 1 + (row - 90) // 20] = 230
    return (frame + noise * (stream("road").random(frame.shape) - 0.5)).astype(np.uint8)


def _with_car(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    driven = frame.copy()
    driven[TOP:FOOT, LEFT:RIGHT] = (120, 20, 25)
    driven[FOOT - 6 : FOOT, LEFT:RIGHT] = 15  # tyres and shade
    return driven


def _source(frames: list[Any], **options: Any) -> Any:
    clip = ArrayClip(np.stack(frames), fps=25.0)
    return resolve_depth(clip, "ground", focal_px=FOCAL, horizon=HORIZON, **options)


def test_a_car_ahead_is_as_far_as_the_road_where_it_stands() -> None:
    frame = _with_car(_road())
    metres = FOCAL * 1.5 / (FOOT - HORIZON * H)
    body = np.s_[TOP + 4 : FOOT - 2, LEFT + 8 : RIGHT - 8]
    found = _source([frame] * 3, horizon_known=True).at(1)
    assert np.median(found[body]) == pytest.approx(metres, rel=0.1)
    assert found[body].max() < 1.5 * metres
    assumed = _source([frame] * 3).at(1)
    assert assumed[body].max() > 2.5 * metres  # what the remedy is for


def test_a_road_with_its_lines_stays_what_it_is() -> None:
    source = _source([_road()] * 3, horizon_known=True)
    plane = ground_plane((H, W), FOCAL, 1.5, HORIZON, source.far_m)
    road = np.s_[110:, 130:190]
    assert source.at(0)[road] == pytest.approx(plane[road], rel=0.1)
    car = _source([_with_car(_road())] * 3, horizon_known=True).at(0)
    beside = np.s_[105:, 20:90]
    assert car[beside] == pytest.approx(source.at(0)[beside], rel=0.06)


def test_a_car_that_is_missed_for_a_moment_does_not_flicker() -> None:
    frames = [_with_car(_road())] * 24
    frames[8:11] = [_road()] * 3  # one or two of the moments that are looked at
    source = _source(frames, horizon_known=True)
    always = _source([_with_car(_road())] * 24, horizon_known=True)
    assert source.feet.samples == pytest.approx(always.feet.samples, abs=1 / H)


def test_a_car_that_draws_near_comes_evenly_nearer() -> None:
    frames = []
    for index in range(30):
        frame = _road()
        frame[TOP : 104 + index, LEFT:RIGHT] = (120, 20, 25)
        frames.append(frame)
    source = _source(frames, horizon_known=True)
    inverse = 1 / np.array([source.at(i)[100, 168] for i in range(4, 26)])
    assert (np.diff(inverse) > 0).all()
    assert np.abs(np.diff(inverse, 2)).max() < 0.3 * np.diff(inverse).mean() + 1e-4


def test_one_frame_is_a_clip_and_a_horizon_below_the_picture_shows_no_road() -> None:
    one = _source([_with_car(_road())], horizon_known=True)
    assert np.isfinite(one.at(0)).all()
    clip = ArrayClip(_road()[None])
    low = resolve_depth(clip, "ground", horizon=1.2, horizon_known=True)
    assert np.array_equal(low.at(0), resolve_depth(clip, "ground", horizon=1.2).at(0))


def test_depth_with_obstacles_travels_to_other_processes_and_says_so_in_meta() -> None:
    source = _source([_with_car(_road())] * 4, horizon_known=True)
    again = pickle.loads(pickle.dumps(source))
    assert isinstance(again, GroundDepth)
    assert np.array_equal(again.at(2), source.at(2))
    assert source.facts["obstacles"] is True


def test_the_haze_of_a_rendered_street_comes_nearer_to_that_of_its_true_depth() -> None:
    street = render_street(frames=6, size=(120, 214), scene="street")
    middle = np.s_[40:90, 64:150]  # the end of the street, with cars parked along it
    errors = []
    for known in (False, True):
        source = resolve_depth(street, "ground", horizon=0.45, horizon_known=known)
        hazes = [(np.minimum(street.depth(i), 70), source.at(i)) for i in (1, 4)]
        errors.append(np.mean([np.abs(np.exp(-0.02 * a) - np.exp(-0.02 * b))[middle]
                               for a, b in hazes]))  # fmt: skip
    assert errors[1] < 0.9 * errors[0]
