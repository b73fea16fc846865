"""Depth from the ride past things, against the true depth of a rendered street."""

from __future__ import annotations

import dataclasses
import pickle

import cv2
import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators.depth import GroundDepth, resolve_depth
from rvsd_bench.generators.motion import Motion, resolve_motion
from rvsd_bench.generators.parallax import CELL_PX, Parallax, follow_parallax
from rvsd_bench.generators.street.clip import StreetClip, render_street

SIZE = (180, 320)
BETA = 0.01


@pytest.fixture(scope="module")
def street() -> StreetClip:
    return render_street(frames=16, size=SIZE, speed_m_per_s=8.0)


@pytest.fixture(scope="module")
def ride(street: StreetClip) -> Motion:
    return resolve_motion(street, f"drive:{8 * 3.6}", street.focal_px)


def _squares(depth: np.ndarray) -> np.ndarray:
    """The median inverse depth of each square of pixels."""
    rows, columns = (side // CELL_PX for side in depth.shape)
    cut = (1 / depth)[: rows * CELL_PX, : columns * CELL_PX]
    cut = cut.reshape(rows, CELL_PX, columns, CELL_PX).swapaxes(1, 2)
    return np.median(cut.reshape(rows, columns, -1), axis=2)


def test_houses_are_as_far_as_they_are(street: StreetClip, ride: Motion) -> None:
    seen = follow_parallax(street, ride)
    assert seen is not None
    index = 1 * seen.step
    true = _squares(street.depth(index))
    above = np.s_[: int(0.42 * len(true))]
    houses = (true[above] > 1 / 60) & (seen.trust[1][: len(true)][above] > 0.5)
    ratio = seen.inverse[1][: len(true)][above][houses] / true[above][houses]
    assert houses.sum() > 100
    assert np.median(ratio) == pytest.approx(1, abs=0.08)
    assert (np.abs(ratio - 1) < 0.2).mean() > 0.8


def test_the_haze_of_a_street_comes_nearer_to_the_truth(street: StreetClip, ride: Motion) -> None:
    errors = []
    for known in (None, ride):
        source = resolve_depth(
            street, "ground", focal_px=street.focal_px, horizon=0.45, horizon_known=True, ride=known
        )
        hazes = [(np.minimum(street.depth(i), source.far_m), source.at(i)) for i in (2, 6)]
        errors.append(np.mean([np.abs(np.exp(-BETA * a) - np.exp(-BETA * b)) for a, b in hazes]))
    assert errors[1] < 0.45 * errors[0]


def test_hills_between_near_trunks_stay_far_away() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32) + 0.5
    hills, bark = (
        cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 400, SIZE), (0, 0), 2.5) + 120
        for seed in (1, 2)
    )
    frames = []
    for index in range(11):  # trunks 20 m ahead, 20 px wide and 60 apart; the camera makes 7.5 m/s
        shrinking = (20 - 0.3 * index) / 20
        u, v = 160 + (x - 160) * shrinking, 81 + (y - 81) * shrinking
        near = cv2.remap(bark, u - 0.5, v - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        frame = np.where(u % 60 < 20, near, hills)
        frames.append(np.repeat(np.clip(frame, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    ride = Motion((0.0, 0.0, 7.5), "drive", 1.0, (160.0, 81.0))
    seen = follow_parallax(ArrayClip(np.stack(frames), fps=25), ride)
    assert seen is not None
    columns = (np.arange(SIZE[1] // CELL_PX) + 0.5) * CELL_PX
    aside = np.abs(columns - 160) > 40
    trunks, gaps = (np.abs(columns % 60 - middle) < 4 for middle in (10, 40))
    rows = np.s_[2 : SIZE[0] // CELL_PX - 2]
    assert 1 / np.median(seen.inverse[0][rows, trunks & aside]) == pytest.approx(20, rel=0.15)
    assert np.median(seen.inverse[0][rows, gaps & aside]) < 1 / 150


def test_hills_reach_the_end_of_the_air_not_only_that_of_the_road() -> None:
    still = Parallax(1, np.zeros((1, 45, 80), np.float32), np.ones((1, 45, 80), np.float32))
    wood = np.random.default_rng(3).integers(20, 60, (1, *SIZE, 3), dtype=np.uint8)
    source = GroundDepth(ArrayClip(wood), 288.0, 1.5, 0.45, 400.0, parallax=still)
    assert source.at(0)[10:70].min() > 390


def test_a_camera_at_rest_or_backing_or_going_too_slowly_shows_no_parallax(
    street: StreetClip, ride: Motion
) -> None:
    rest = Motion((0.0, 0.0, 0.0), "static")
    back = dataclasses.replace(ride, velocity_m_per_s=(0.0, 0.0, -8.0))
    slow = dataclasses.replace(ride, velocity_m_per_s=(0.0, 0.0, 0.5))
    assert [follow_parallax(street, motion) for motion in (rest, back, slow)] == [None] * 3
    assert follow_parallax(ArrayClip(np.zeros((1, *SIZE, 3), np.uint8)), ride) is None


def test_nothing_lies_behind_the_road() -> None:
    still = Parallax(1, np.zeros((1, 23, 40), np.float32), np.ones((1, 23, 40), np.float32))
    plane = np.linspace(0.005, 0.3, 180 * 320, dtype=np.float32).reshape(SIZE)
    assert still.over(plane + 0.05, plane, 3) == pytest.approx(plane, abs=1e-6)


def test_depth_with_parallax_travels_and_is_told_in_meta(street: StreetClip, ride: Motion) -> None:
    source = resolve_depth(street, "ground", horizon=0.45, ride=ride)
    again = pickle.loads(pickle.dumps(source))
    assert isinstance(again, GroundDepth)
    assert np.array_equal(again.at(3), source.at(3))
    assert source.facts["parallax"] is True
