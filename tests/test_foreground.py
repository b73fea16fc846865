"""What stands right before a resting camera is found whole; a place is not taken for a thing."""

from __future__ import annotations

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators.depth import resolve_depth
from rvsd_bench.generators.foreground import foreground
from rvsd_bench.seeds import stream

H, W = 180, 320


def _street(frames: int = 9) -> np.ndarray:
    """A light road, brown houses from row 40 to the horizon at 81, a bright sky."""
    pictures = np.full((frames, H, W, 3), 150, np.uint8)
    pictures[:, :40], pictures[:, 40:81] = (215, 220, 228), (120, 90, 70)
    return pictures


def _fence() -> np.ndarray:
    """Where a fence stands: a post up from the lower edge, and a rail over the whole width."""
    fence = np.zeros((H, W), bool)
    fence[60:, 150:164] = fence[64:72] = True
    return fence


def _fenced(frames: int = 9) -> np.ndarray:
    pictures = _street(frames)
    pictures[:, _fence()] = (28, 36, 30)
    noise = stream(4, "noise").random(pictures.shape)
    return np.clip(pictures + np.rint(8 * noise - 4), 0, 255).astype(np.uint8)


def test_a_fence_is_as_near_at_its_rail_as_at_its_foot() -> None:
    source = resolve_depth(ArrayClip(_fenced()), "ground", resting=True)
    depth = source.at(4)
    assert source.facts["foreground"] is True
    inside = np.s_[66:70, 20:300]
    assert np.median(depth[inside]) < 1.6 * depth[-1, 10]
    assert np.median(depth[76:79, 100:140]) > 40  # the houses behind it
    away = resolve_depth(ArrayClip(_fenced()), "ground").at(4)
    assert np.median(away[66:70, 130:190]) > 40  # without: at the end of the world


def test_whoever_passes_is_not_taken_for_what_stands_there() -> None:
    pictures = _street()
    for index, frame in enumerate(pictures):
        frame[90:, 36 * index : 36 * index + 30] = (30, 30, 90)
    assert foreground(ArrayClip(pictures), 0.45) is None


@pytest.mark.parametrize("filled", [False, True])
def test_a_bare_road_or_a_meadow_right_up_to_the_sky_is_no_thing(filled: bool) -> None:
    pictures = _street()
    if filled:
        pictures[:, 41:] = (60, 90, 40)
    assert foreground(ArrayClip(pictures), 0.45) is None


def test_a_kerb_and_a_shadow_are_too_low_to_be_things() -> None:
    pictures = _street()
    pictures[:, -20:, 40:140] = 40
    assert foreground(ArrayClip(pictures), 0.45) is None


def test_a_camera_that_sees_no_road_finds_nothing() -> None:
    assert foreground(ArrayClip(_fenced()), 1.4) is None
