from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rvsd_bench.errors import InputError
from rvsd_bench.generators.flight import BLUR, DEPTH, DU, DV, ID, RADIUS, Flight, U, V
from rvsd_bench.generators.population import (
    DIAMETER,
    FALL,
    GAIN,
    REACH,
    Population,
    View,
    populate,
    smallest_area_px2,
)
from rvsd_bench.generators.scene import Camera, Scene, Snow, Tiers, Wind
from rvsd_bench.generators.size_law import size_law
from rvsd_bench.generators.turbulence import modes

VIEW = View(288.0, (180, 320), 0.3, 1000.0)
STILL = Wind((0.0, 0.0, 0.0), 0.0)


def _flight(scene: Scene, area_px2: float = 0.5, seed: int = 0, ride: Any = (0, 0, 0)) -> Flight:
    law = size_law(scene.snow)
    flakes = populate(law, scene, VIEW, area_px2, 1.0, ("t", seed))
    wind = scene.wind.velocity_m_per_s
    return Flight(flakes, modes(scene.wind, ("t", seed)), wind, ride, scene.camera, VIEW)


def _one(at_m: Any, diameter_m: float = 0.01, fall: float = 1.0, **flight: Any) -> Flight:
    """Return the flight of a single flake that does not swing."""
    traits = np.array([[diameter_m, 1e3, fall, 0.0, 0.0, 0.0, 1.0]])
    flakes = Population(np.array([at_m], np.float64), np.full((1, 3), 1e3), traits)
    settings: dict[str, Any] = {
        "wind_m_per_s": (0.0, 0.0, 0.0),
        "camera_m_per_s": (0.0, 0.0, 0.0),
        "camera": Camera(shutter_s=0.01),
        "waves": modes(STILL, ("t",)),
        "view": VIEW,
    } | flight
    return Flight(flakes=flakes, **settings)


def _visible(rows: Any) -> Any:
    inside = (rows[:, U] >= 0) & (rows[:, U] < 320) & (rows[:, V] >= 0) & (rows[:, V] < 180)
    return rows[inside]


def test_as_many_flakes_are_seen_as_the_frustum_holds_by_the_size_law() -> None:
    """The integral of n(D)·Omega/3·(z1³ - near³); eddies and a long time must lose none."""
    scene = Scene(snow=Snow(rate_mm_per_h=2.0), wind=Wind((2.0, 0.0, 0.5), 0.8))
    law = size_law(scene.snow)
    solid = 320 * 180 / VIEW.focal_px**2
    reach = VIEW.reach_m(law.diameter_m, 0.5)
    expected = float(np.sum(law.number_per_m3 * solid / 3 * (reach**3 - VIEW.near_m**3)))
    counts = [
        len(_visible(_flight(scene, 0.5, seed).seen(time)))
        for seed in range(12)
        for time in (0.0, 3.7, 61.3)
    ]
    assert np.mean(counts) / expected == pytest.approx(1.0, abs=0.02)
    assert 0.5 < np.std(counts) / np.sqrt(expected) < 2


def test_sizes_in_a_slab_that_shows_them_all_follow_the_law() -> None:
    scene = Scene(snow=Snow(rate_mm_per_h=2.0, melted_min_mm=0.8), wind=STILL)
    law = size_law(scene.snow)
    slab = float(VIEW.reach_m(law.diameter_m[:1], 0.05)[0])
    drawn = []
    for seed in range(3):
        flight = _flight(scene, 0.05, seed)
        rows = flight.seen(0.0)
        near = rows[(rows[:, DEPTH] < slab)][:, ID].astype(int)
        drawn.append(flight.flakes.traits[near, DIAMETER])
    # By class, so that the witness is the number law alone.
    edges = np.interp(np.linspace(0, 1, 21)[1:-1], np.cumsum(law.number_per_m3) / sum(
        law.number_per_m3), law.diameter_m)  # fmt: skip
    counted = np.bincount(np.searchsorted(edges, np.concatenate(drawn)), minlength=20)
    assert stats.chisquare(counted).pvalue > 0.01


def test_the_same_key_gives_the_same_flakes_and_another_key_others() -> None:
    scene = Scene(snow=Snow(rate_mm_per_h=0.3))
    one, same, other = (_flight(scene, seed=s).flakes.digest() for s in (1, 1, 2))
    assert one == same != other


def test_no_flake_is_brighter_than_it_may_be_and_few_are_equal() -> None:
    scene = Scene()
    flakes = populate(size_law(scene.snow), scene, VIEW, 0.5, 0.9, ("t",))
    gain = flakes.traits[:, GAIN]
    assert gain.max() <= 0.9 < scene.light.flake_gain
    assert len(np.unique(gain)) == len(gain) and gain.min() >= 0.8 * 0.9


def test_the_simulated_number_keeps_to_its_limit() -> None:
    scene = Scene(snow=Snow(rate_mm_per_h=4.0), tiers=Tiers(max_sim=20_000))
    law = size_law(scene.snow)
    area = smallest_area_px2(law, scene, VIEW)
    assert area > 0.1
    assert len(populate(law, scene, VIEW, area, 1.0, ("t",))) == pytest.approx(20_000, rel=0.02)


def test_too_much_snow_for_the_limit_is_refused() -> None:
    scene = Scene(snow=Snow(rate_mm_per_h=15.0), tiers=Tiers(max_sim=1000))
    with pytest.raises(InputError, match=r"tiers\.max_sim is 1000"):
        smallest_area_px2(size_law(scene.snow), scene, View(1728.0, (1080, 1920), 0.3, 150.0))


def test_a_streak_is_the_path_during_the_exposure() -> None:
    wind = (3.0, 0.0, 0.0)
    row = _one([0.2, 0.1, 5.0], wind_m_per_s=wind).seen(0.0)[0]
    assert row[DU] == pytest.approx(3.0 * 0.01 * 288 / 5, abs=1e-9)
    assert row[DV] == pytest.approx(1.0 * 0.01 * 288 / 5, abs=1e-9)
    assert row[[U, V, RADIUS]] == pytest.approx([160 + 11.52, 90 + 5.76, 0.288])


def test_the_blur_circle_is_that_of_a_thin_lens() -> None:
    camera = Camera(focal_mm=35, f_number=2.8, focus_m=3.0)
    for depth in (0.5, 1.0, 3.0, 8.0, 40.0):
        row = _one([0.0, 0.0, depth], camera=camera).seen(0.0)[0]
        assert row[BLUR] == pytest.approx(0.0125 * 288 * abs(1 / 3 - 1 / depth), abs=1e-9)


def test_to_a_driving_camera_flakes_stream_out_of_the_vanishing_point() -> None:
    ride = (0.0, 0.0, 14.0)
    for at in ([1.0, 0.5, 6.0], [-2.0, -1.0, 9.0]):
        row = _one(at, fall=0.0, camera_m_per_s=ride).seen(0.0)[0]
        outward = np.array([row[U] - 160, row[V] - 90])
        run = row[[DU, DV]]
        assert outward @ run > 0
        assert outward[0] * run[1] == pytest.approx(outward[1] * run[0])


def test_a_flake_moves_on_from_frame_to_frame_as_its_speed_says() -> None:
    scene = Scene(snow=Snow(rate_mm_per_h=2.0), wind=Wind((2.0, 0.0, 0.0), 0.3))
    flight = _flight(scene, 0.5)
    first, second = flight.seen(1.0), flight.seen(1.04)
    ids, here, there = np.intersect1d(first[:, ID], second[:, ID], return_indices=True)
    move = second[there][:, [U, V]] - first[here][:, [U, V]]
    speed = np.stack([np.full(len(ids), 2.0), flight.flakes.traits[ids.astype(int), FALL]], axis=1)
    steady = speed * 0.04 * VIEW.focal_px / first[here][:, [DEPTH]]
    error = np.linalg.norm(move - steady, axis=1)
    assert len(ids) > 0.9 * len(first)
    assert np.median(error) < 0.15 * np.median(np.linalg.norm(move, axis=1))


def test_streaks_agree_with_the_motion_between_frames() -> None:
    """A flake's path during an exposure as long as the frame ends where the next one begins."""
    scene = Scene(wind=Wind((1.0, 0.0, 0.3), 0.8), camera=Camera(shutter_s=0.002))
    flight = _flight(scene)
    first, second = flight.seen(5.0), flight.seen(5.002)
    _, here, there = np.intersect1d(first[:, ID], second[:, ID], return_indices=True)
    error = first[here][:, [U, V]] + first[here][:, [DU, DV]] - second[there][:, [U, V]]
    assert np.percentile(np.abs(error), 99) < 0.02 * np.abs(first[:, [DU, DV]]).max()


def test_to_leave_out_the_unseen_early_loses_none() -> None:
    """Against the same flight with a bound so large that nothing is left out early."""
    scene = Scene(snow=Snow(rate_mm_per_h=3.0), wind=Wind((2.0, 0.0, 1.0), 1.5))
    quick, slow = _flight(scene, 0.05), _flight(scene, 0.05)
    slow.__dict__["stir_m"] = 1e6
    for time in np.linspace(0, 60, 40):
        assert (quick.seen(time) == slow.seen(time)).all()


def test_far_flakes_come_first_and_none_beyond_its_reach() -> None:
    flight = _flight(Scene())
    rows = flight.seen(2.0)
    assert (np.diff(rows[:, DEPTH]) <= 0).all()
    assert (rows[:, DEPTH] < flight.flakes.traits[rows[:, ID].astype(int), REACH]).all()
    assert rows[:, DEPTH].min() >= VIEW.near_m


def test_flakes_in_a_mirrored_wind_make_the_mirrored_picture() -> None:
    scene = Scene(wind=Wind((2.0, 0.0, 0.4), 0.0), snow=Snow(flutter_m=0.0))
    flight = _flight(scene)
    flakes = flight.flakes
    mirrored = dataclasses.replace(
        flight,
        flakes=dataclasses.replace(flakes, origin_m=flakes.origin_m * [-1.0, 1.0, 1.0]),
        wind_m_per_s=(-2.0, 0.0, 0.4),
    )
    rows, other = flight.seen(1.3), mirrored.seen(1.3)
    assert len(rows) == len(other)
    order, other_order = np.argsort(rows[:, ID]), np.argsort(other[:, ID])
    assert np.allclose(320 - rows[order][:, U], other[other_order][:, U], atol=1e-6)
    assert np.allclose(rows[order][:, V], other[other_order][:, V], atol=1e-6)
