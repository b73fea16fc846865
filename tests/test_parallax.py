"""Depth from the ride past things, against the true depth of a rendered street."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators.depth import GroundDepth, resolve_depth
from rvsd_bench.generators.motion import Motion, resolve_motion
from rvsd_bench.generators.parallax import Parallax, follow_parallax
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
    """The median inverse depth of each 8 x 8 pixels."""
    rows, columns = depth.shape[0] // 8, depth.shape[1] // 8
    cut = (1 / depth)[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    return np.median(cut.swapaxes(1, 2).reshape(rows, columns, 64), axis=2)


def test_houses_are_as_far_as_they_are(street: StreetClip, ride: Motion) -> None:
    seen = follow_parallax(street, ride)
    assert seen is not None
    index = 1 * seen.step
    true = _squares(street.depth(index))
    above = np.s_[: int(0.42 * len(true))]
    houses = (true[above] > 1 / 60) & (seen.trust[1][: len(true)][above] > 0.5)
    ratio = seen.inverse[1][: len(true)][above][houses] / true[above][houses]
    assert houses.sum() > 100
    assert np.median(ratio) == pytest.approx(1, abs=0.12)
    assert (np.abs(ratio - 1) < 0.35).mean() > 0.8


def test_the_haze_of_a_street_comes_nearer_to_the_truth(street: StreetClip, ride: Motion) -> None:
    errors = []
    for known in (None, ride):
        source = resolve_depth(
            street, "ground", focal_px=street.focal_px, horizon=0.45, horizon_known=True, ride=known
        )
        hazes = [(np.minimum(street.depth(i), source.far_m), source.at(i)) for i in (2, 6)]
        errors.append(np.mean([np.abs(np.exp(-BETA * a) - np.exp(-BETA * b)) for a, b in hazes]))
    assert errors[1] < 0.8 * errors[0]


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
