"""The dark channel prior: against loops over the definition, and on haze whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench import restore
from rvsd_bench.baselines import load
from rvsd_bench.baselines.dcp import Parameters, atmospheric_light, dark_channel, dehaze
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.guided import guided_filter

Image = NDArray[np.float32]
LIGHT = np.array([0.9, 0.85, 0.8], np.float32)


def known_haze(height: int = 90, width: int = 120) -> tuple[Image, Image, Image]:
    """Return a hazy picture, its scene and its transmission; the top rows are nothing but air.

    No pixel of the scene reflects all three colours, so that the prior holds exactly.
    """
    random = np.random.default_rng(0)
    scene = random.random((height, width, 3), np.float32) * np.float32(0.8)
    dark = random.integers(0, 3, (height, width))
    np.put_along_axis(scene, dark[..., None], 0, axis=2)
    t = np.tile(np.linspace(0.35, 0.9, width, dtype=np.float32), (height, 1))
    t[:10] = 0
    hazy = scene * t[..., None] + LIGHT * (1 - t[..., None])
    return hazy.astype(np.float32), scene, t


def psnr(a: Image, b: Image) -> float:
    return float(-10 * np.log10(np.mean((np.clip(a, 0, 1) - b) ** 2)))


def test_the_dark_channel_is_the_least_value_in_reach() -> None:
    image = np.random.default_rng(1).random((13, 17, 3), np.float32)
    found = dark_channel(image, patch=5)
    for y in range(13):
        for x in range(17):
            patch = image[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            assert found[y, x] == patch.min()


def test_the_light_of_the_air_is_that_of_the_haziest_pixels_and_not_of_a_white_spot() -> None:
    hazy, _, _ = known_haze()
    hazy[60:64, 60:64] = 1.0
    assert np.allclose(atmospheric_light(hazy, patch=15), LIGHT, atol=1e-3)


def test_the_guided_filter_is_a_line_fitted_in_every_window() -> None:
    random = np.random.default_rng(2)
    guide, source = random.random((2, 11, 12), np.float32)
    found = guided_filter(guide, source, radius=2, eps=0.01)
    padded = [np.pad(image.astype(np.float64), 4, mode="symmetric") for image in (guide, source)]
    lines = np.zeros((15, 16, 2))
    for y in range(15):
        for x in range(16):
            g, s = (image[y : y + 5, x : x + 5].ravel() for image in padded)
            slope = np.mean((g - g.mean()) * (s - s.mean())) / (g.var() + 0.01)
            lines[y, x] = slope, s.mean() - slope * g.mean()
    y, x = 5, 6  # far enough from the border for both reflections to agree
    slope, shift = lines[y : y + 5, x : x + 5].mean(axis=(0, 1))
    assert np.isclose(found[y, x], slope * guide[y, x] + shift, atol=1e-5)


def test_haze_with_a_known_answer_is_taken_away() -> None:
    hazy, scene, _ = known_haze()
    # With omega 1, as the model of the haze is exact; the air itself has no scene to recover.
    restored = dehaze(hazy, hazy, Parameters(omega=1, patch=7, radius=10))
    below, before = psnr(restored[30:], scene[30:]), psnr(hazy[30:], scene[30:])
    assert before < 12
    assert below > 30


def test_more_omega_takes_more_haze_and_none_changes_no_bit() -> None:
    hazy, scene, _ = known_haze()
    gains = [
        psnr(dehaze(hazy, hazy, Parameters(omega=omega))[30:], scene[30:])
        for omega in (0.0, 0.3, 0.6, 0.9)
    ]
    assert gains == sorted(gains)
    frames = np.random.default_rng(3).integers(0, 256, (5, 40, 50, 3), np.uint8)
    still = np.stack(list(restore(load("median"), ArrayClip(frames))))
    dcp = np.stack(list(restore(load("dcp?omega=0"), ArrayClip(frames))))
    assert np.array_equal(still, dcp)


def test_the_restorer_dehazes_every_frame_by_the_median_around_it() -> None:
    hazy, _, _ = known_haze()
    frame = np.rint(hazy * 255).astype(np.uint8)
    frames = np.stack([frame] * 3)
    frames[1, 40:43, 40:43] = 255  # a flake of one frame
    restored = np.stack(list(restore(load("dcp?patch=7"), ArrayClip(frames))))
    exact = frame.astype(np.float32) / np.float32(255)
    wanted = dehaze(exact, exact, Parameters(patch=7))
    for found in restored:
        assert np.abs(found - np.clip(wanted, 0, 1) * 255).max() <= 0.51


def test_the_light_is_that_of_five_frames_so_that_a_white_van_in_two_does_not_change_it() -> None:
    hazy, _, _ = known_haze()
    frames = np.stack([np.rint(hazy * 255).astype(np.uint8)] * 5)
    without = restore(load("dcp"), ArrayClip(frames.copy()))[2]
    frames[1:3, 40:80, :20] = 255  # the median of frames 1 to 3 shows it, that of all does not
    with_van = restore(load("dcp"), ArrayClip(frames))[2]
    assert not np.array_equal(with_van[40:80, :20], without[40:80, :20])
    assert np.array_equal(with_van[:, -10:], without[:, -10:])


def test_a_steady_scene_is_lit_steadily_while_snow_falls() -> None:
    random = np.random.default_rng(4)
    hazy, _, _ = known_haze()
    frames = np.stack([np.rint(hazy * 255).astype(np.uint8)] * 12)
    for frame in frames:
        for y, x in random.integers(0, 85, (12, 2)):
            frame[y : y + 4, x : x + 4] = 250
    restored = np.stack(list(restore(load("dcp"), ArrayClip(frames)))).astype(float)
    levels = np.median(restored[2:-2, 30:], axis=(1, 2, 3))  # whose windows have no repeated end
    assert np.abs(np.diff(levels)).max() <= 1


@pytest.mark.parametrize("option", ["k=2", "omega=1.5", "patch=4", "radius=0", "eps=0", "t0=0"])
def test_a_parameter_out_of_range_is_refused_by_name(option: str) -> None:
    with pytest.raises(InputError, match=f"dcp: {option.split('=')[0]} must"):
        load(f"dcp?{option}")
