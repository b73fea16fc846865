from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rvsd_bench.generators.dust import SHELLS, Dust, fill_shells
from rvsd_bench.generators.population import View
from rvsd_bench.generators.scene import Camera, Snow
from rvsd_bench.generators.size_law import size_law

FAR = 80.0
VIEW = View(576.0, (360, 640), 0.3, FAR)
AREAS = (0.3, 0.006)
LAW = size_law(Snow(rate_mm_per_h=2.0))


def _dust(drift: tuple[float, float, float] = (1.0, 0.0, 0.0), **camera: float) -> Dust:
    settings = Camera(**({"psf_sigma_px": 0.6, "shutter_s": 0.004} | camera))
    return fill_shells(LAW, VIEW, settings, AREAS, drift, ("t",))


def _alpha(dust: Dust, time_s: float, depth: int = 65535, size: Any = (128, 256)) -> Any:
    C, P = np.ones(size, np.float32), np.zeros(size, np.float32)
    dust.draw(time_s, np.full(size, depth, np.uint16), np.ones(SHELLS, np.float32), C, P)
    return 1 - C.astype(np.float64)


def _ranges(depth_m: float = FAR) -> Any:
    first, last = (VIEW.reach_m(LAW.diameter_m, area) for area in AREAS)
    return first, np.clip(depth_m, first, last)


def test_the_shells_hold_the_optical_depth_of_their_flakes() -> None:
    first, last = _ranges()
    expected = float(LAW.cross_section_per_m @ (last - first))
    total = _dust().tiles.mean(axis=(1, 2)).sum() / 65535
    assert total == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("depth_m", [3.0, 10.0, 30.0])
def test_before_a_wall_only_the_flakes_in_front_of_it_count(depth_m: float) -> None:
    first, last = _ranges(depth_m)
    expected = float(LAW.cross_section_per_m @ (last - first))
    dust = _dust()
    index = round(depth_m / FAR * 65535) // 16
    share = dust.share[:, index] @ (dust.tiles.mean(axis=(1, 2)) / 65535)
    assert share == pytest.approx(expected, rel=0.03, abs=2e-5)


def test_mean_and_variance_are_those_of_campbells_theorem() -> None:
    """var = sum of n (pi/4)² D⁴ f² (1/z1 - 1/z2), over 4 pi sigma² by blur of lens and pixel."""
    first, last = _ranges()
    dust = _dust((0.0, 0.0, 0.0), psf_sigma_px=1.5, shutter_s=1e-5)
    area2 = (LAW.opacity * np.pi / 4) ** 2 * LAW.diameter_m**4 * VIEW.focal_px**2
    sharp = float(LAW.number_per_m3 @ (area2 * (1 / first - 1 / np.maximum(last, first))))
    expected = sharp / (4 * np.pi * (1.5**2 + 1 / 12))
    variance = (dust.tiles / 65535.0).var(axis=(1, 2)).sum()
    assert variance == pytest.approx(expected, rel=0.05)


def test_for_a_camera_that_drives_mean_and_variance_stay_the_same_for_ten_seconds() -> None:
    """At 14 m/s, against shells that stand still and hold the very same flakes."""
    still = _alpha(_dust((0.0, 0.0, 0.0), shutter_s=1e-5), 0.0, size=(360, 640))
    driven = _dust((0.0, 0.0, -14.0), shutter_s=1e-5)
    seen = [_alpha(driven, time) for time in np.arange(0, 10, 0.2)]
    means = np.array([alpha.mean() for alpha in seen])
    stds = np.array([alpha.std() for alpha in seen])
    assert means.mean() == pytest.approx(still.mean(), rel=0.03)
    assert stds.mean() == pytest.approx(still.std(), rel=0.06)
    assert means.std() < 0.03 * means.mean()
    assert stds.std() < 0.10 * stds.mean()
    assert abs(np.polyfit(np.arange(50), means, 1)[0]) * 50 < 0.03 * means.mean()


def test_sheets_are_invisible_where_they_turn_back() -> None:
    dust = _dust((0.0, 0.0, -14.0))
    depth, _, _ = dust._sheets(0.0)
    moved, lighter, _ = dust._sheets(1e-4)
    jumped = np.abs(moved - depth) > 0.5 * (dust.range_m[:, 1:] - dust.range_m[:, :1])
    assert (lighter[jumped] < 1e-3).all()
    times = np.linspace(0, 3, 4000)
    weights = np.array([dust._sheets(t)[1] for t in times])
    assert np.abs(np.diff(weights, axis=0)).max() < 0.05
    assert dust.taps.tolist() == sorted(dust.taps, reverse=True)  # what is near streaks farther
    for moments, each in zip(dust.taps, weights.sum(axis=2).T, strict=True):
        assert moments * each == pytest.approx(1.5)  # three sheets


def test_grain_moves_with_the_wind_at_the_pace_of_its_depth() -> None:
    """The shift between two moments, found by correlation, is f·v/z·t."""
    dust = _dust((3.0, 0.0, 0.0))
    one = Dust(**{**vars(dust), "share": dust.share * np.eye(SHELLS)[2][:, None]})
    one = Dust(**{**vars(one), "share": one.share.astype(np.float32)})
    first, second = (_alpha(one, t, size=(256, 256)) for t in (0.0, 0.1))
    spectrum = np.fft.fft2(second - second.mean()) * np.conj(np.fft.fft2(first - first.mean()))
    peak = np.unravel_index(np.argmax(np.fft.ifft2(spectrum).real), (256, 256))
    shift = VIEW.focal_px / dust.depth_m[2] * dust.velocity_m_per_s[2] * 0.1
    assert (peak[1], peak[0]) == (pytest.approx(shift[0], abs=1), pytest.approx(shift[1], abs=1))


def test_to_a_driving_camera_grain_streams_out_of_the_middle() -> None:
    """Left of the middle grain moves left and right of it right, by correlation of two moments."""
    dust = _dust((0.0, 0.0, -10.0), shutter_s=1e-4)
    first, second = (_alpha(dust, t, size=(200, 640)) for t in (1.0, 1.02))

    def shift(part: slice) -> int:
        a, b = first[50:150, part], second[50:150, part]
        spectrum = np.fft.fft2(b - b.mean()) * np.conj(np.fft.fft2(a - a.mean()))
        found = int(np.argmax(np.fft.ifft2(spectrum).real.sum(axis=0)))
        return found - a.shape[1] if found > a.shape[1] // 2 else found

    assert shift(slice(0, 100)) < 0 < shift(slice(540, 640))
