"""A camera on a mast: asphalt up to the top is neither sky nor the end of a street."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators import prepare, preset
from rvsd_bench.generators.depth import resolve_depth
from rvsd_bench.generators.viewpoint import looks_down
from rvsd_bench.media.reading import read_clip
from rvsd_bench.seeds import stream

H, W = 108, 192


def _asphalt(level: float = 130.0) -> NDArray[np.uint8]:
    """Return smooth ground from above, with a kerb across and one car per frame."""
    frames = np.full((5, H, W, 3), level) + 2 * (stream("mast").random((5, H, W, 3)) - 0.5)
    frames[:, 80:84] = (170, 165, 120)
    for index in range(5):
        frames[index, 30:55, 30 * index : 30 * index + 40] = (150, 20, 20)
    return frames.astype(np.uint8)


def _street() -> NDArray[np.uint8]:
    frames = _asphalt()
    frames[:, :40] = (205, 215, 230)
    return frames


def test_ground_up_to_the_top_is_told_from_a_street_and_from_a_wood() -> None:
    leaves = 255 * stream("leaves").random((3, H, W, 1)) * np.ones(3)
    assert looks_down(ArrayClip(_asphalt()))
    assert not looks_down(ArrayClip(_street()))
    assert not looks_down(ArrayClip(leaves.astype(np.uint8)))


def test_seen_from_a_mast_depth_is_that_of_one_tilted_plane() -> None:
    source = resolve_depth(ArrayClip(_asphalt()), "ground", focal_px=170.0, resting=True)
    assert source.facts["view"] == "overhead" and source.facts["walls_m"] is None
    depth = source.at(0)
    rows = np.array([10, 50, 100])
    # 1 / z of a plane is linear in the row, whatever the tilt; it is 0 half a picture up.
    expected = 170.0 * 6.0 / (rows + 0.5 + 0.5 * H)
    assert depth[rows][:, [5, 96, 186]] == pytest.approx(expected[:, None] * np.ones(3), rel=0.03)


@pytest.mark.parametrize("options", [{}, {"resting": True, "horizon_known": True}])
def test_a_moving_camera_or_a_known_horizon_keeps_the_street(options: dict[str, bool]) -> None:
    source = resolve_depth(ArrayClip(_asphalt()), "ground", **options)
    assert source.facts["view"] == "street"
    assert source.facts["horizon"] == 0.45


def test_bright_asphalt_seen_from_a_mast_does_not_pass_for_sky() -> None:
    shot = prepare(ArrayClip(_asphalt(150.0)), preset("moderate"), seed=1, motion="static")
    assert shot.facts["depth"]["view"] == "overhead"
    assert shot.facts["atmospheric_light"]["rule"] == "top"


@pytest.mark.parametrize(
    ("name", "overhead"),
    [
        ("static_parking_intel_768x432_100f.mp4", True),
        ("static_road_bgs_640x360_120f.mp4", True),
        ("synth_tartanground_rome_720p_90f.mp4", False),
        ("drive_udacity_720p_38f.mp4", False),
    ],
)
def test_real_footage_is_told_apart(repository: Path, name: str, overhead: bool) -> None:
    path = repository.parent / "shared" / "data" / "clean" / name
    if not path.is_file():
        pytest.skip("the shared clips are not here")
    assert looks_down(read_clip(path)) is overhead
