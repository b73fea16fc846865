"""The light of the air: sky above the horizon, never the road nor a white car."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import ArrayClip
from rvsd_bench.colour import decode_srgb
from rvsd_bench.generators.depth import resolve_depth
from rvsd_bench.generators.light import estimate_light
from rvsd_bench.generators.sky import sky_likeness
from rvsd_bench.media.reading import read_clip
from rvsd_bench.seeds import stream

H, W = 360, 640
HORIZON = 162
ZENITH, LOW = np.array([90, 130, 200]), np.array([185, 205, 225])


def landscape(
    *, car: bool = False, sky: tuple[NDArray[np.int64], NDArray[np.int64]] = (ZENITH, LOW)
) -> NDArray[np.uint8]:
    """Return a road under a clear sky, palest above the horizon, between dark woods."""
    rise = np.linspace(0, 1, HORIZON)[:, None, None]
    picture = np.full((H, W, 3), 70.0)
    picture[:HORIZON] = sky[0] * (1 - rise) + sky[1] * rise
    picture[120:HORIZON, :180] = picture[130:HORIZON, 500:] = (40, 55, 35)
    picture += 6 * (stream("landscape").random((H, W, 1)) - 0.5)
    if car:
        picture[150:220, 360:460] = 250
        picture[166:184, 376:444] = 60
    return picture.astype(np.uint8)


def light_of(*frames: NDArray[np.uint8]) -> tuple[NDArray[np.float64], dict[str, object]]:
    clip = ArrayClip(np.stack(frames))
    return estimate_light(clip, resolve_depth(clip, "ground"))


def test_the_light_is_the_sky_above_the_horizon_half_way_to_grey() -> None:
    light, story = light_of(landscape())
    seen = decode_srgb(LOW / 255)
    assert story["rule"] == "sky"
    assert np.allclose(light, 0.5 * (seen + seen.mean()), atol=0.04)


def test_a_white_car_does_not_move_the_light() -> None:
    without, _ = light_of(landscape())
    with_car, story = light_of(landscape(car=True))
    assert story["rule"] == "sky"
    assert np.abs(with_car - without).max() < 0.005


def test_the_light_is_the_median_over_frames() -> None:
    bright = landscape(sky=(LOW, np.array([250, 250, 250])))
    assert np.allclose(light_of(*[landscape()] * 4, bright)[0], light_of(landscape())[0], atol=1e-3)


def test_a_road_seen_from_above_is_no_sky() -> None:
    road = 118 + 8 * (stream("road").random((H, W, 3)) - 0.5)
    light, story = light_of(road.astype(np.uint8))
    assert story["rule"] == "top"
    assert story["bright_sky"] is None
    assert (light == 0.35).all()


def test_the_light_stays_between_its_limits() -> None:
    white = landscape(sky=(np.array([255] * 3), np.array([255] * 3)))
    assert (light_of(white)[0] == 0.85).all()
    assert (light_of(landscape() // 8)[0] == 0.35).all()


def test_a_flake_at_nine_tenths_of_the_bright_sky_is_darker_than_the_sky_it_passes() -> None:
    frame = landscape(sky=(LOW, LOW))
    _, story = light_of(frame)
    sky = decode_srgb(frame[:100].reshape(-1, 3) / 255) @ [0.2126, 0.7152, 0.0722]
    assert 0.9 * story["bright_sky"] < np.percentile(sky, 5)  # type: ignore[operator]
    assert story["bright_sky"] == pytest.approx(np.percentile(sky, 95), rel=0.03)


def test_likeness_to_sky_does_not_jump_with_the_exposure() -> None:
    frame = landscape().astype(np.float64)
    series = [sky_likeness((frame * gain).astype(np.uint8)) for gain in np.linspace(0.5, 1, 40)]
    shares = np.array([likeness.mean() for likeness in series])
    assert np.abs(np.diff(shares)).max() < 0.1
    assert shares[-1] > 0.35


@pytest.mark.parametrize("name", ["drive_udacity_540p_221f.mp4", "drive_udacity_720p_38f.mp4"])
def test_on_real_drives_the_light_is_the_pale_blue_of_the_low_sky(
    shared_clips: Path, name: str
) -> None:
    clip = read_clip(shared_clips / name, stop=38, size=(640, 360))
    light, story = estimate_light(clip, resolve_depth(clip, "ground"))
    assert story["rule"] == "sky"
    assert light[0] < light[1] < light[2]  # the road is grey and both cars are black or white
    assert 0.4 < light.mean() < 0.7
