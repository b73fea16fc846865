"""Uneven fog: its statistics, its drift with the wind, and the law that turns it into light."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, prepare, preset, render_frame
from rvsd_bench.generators.fog import STEP_PX, DriftingFog, drifting_fog
from rvsd_bench.generators.haze import depth_levels, transmission_table
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.generators.scene import Fog
from rvsd_bench.recipe import structure

FAR, FOCAL = 80.0, 400.0
WALL = np.full((240, 400), 65535, np.uint16)


def _fog(drift: tuple[float, float, float] = (3.0, 0.0, 0.0), **numbers: float) -> DriftingFog:
    numbers = {"extinction_per_m": 0.01, "noise_amplitude": 0.6, "noise_scale_m": 8.0} | numbers
    veil = 0.2 * depth_levels(FAR) / FAR
    made = drifting_fog(Fog(**numbers), drift, FOCAL, FAR, veil, ("test", 3))
    assert made is not None
    return made


def _shift(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[int, int]:
    """Return by how many pixels (x, y) the picture has moved: the peak of the correlation."""
    window = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1]))
    a, b = (np.fft.fft2((picture - picture.mean()) * window) for picture in (first, second))
    peak = np.fft.ifft2(np.conj(a) * b).real
    y, x = np.unravel_index(peak.argmax(), peak.shape)
    height, width = peak.shape
    return int((x + width // 2) % width - width // 2), int((y + height // 2) % height - height // 2)


@pytest.mark.parametrize("drift", [(3.0, 0.0, 0.0), (-2.0, 1.0, 0.0), (0.0, 0.0, 0.0)])
def test_the_correlation_peak_of_the_transmission_moves_with_the_wind(
    drift: tuple[float, float, float],
) -> None:
    fog, seconds = _fog(drift), 2.0
    first, second = (fog.transmission(t, WALL).astype(float) for t in (5.0, 5.0 + seconds))
    px_per_m = FOCAL / (FAR / 2)  # the sample lies half way
    expected = [px_per_m * drift[axis] * seconds for axis in (0, 1)]
    assert _shift(first, second) == pytest.approx(expected, abs=2)


def test_the_density_has_mean_one_a_known_spread_and_never_falls_below_zero() -> None:
    fog = _fog(noise_amplitude=0.8)
    density = np.stack([fog.density(40.0 * i, WALL) for i in range(150)])
    assert density.mean() == pytest.approx(1, abs=0.01)
    fainter = 1 / math.sqrt(1 + FAR / 8)  # the wall stands ten clouds away
    assert density.std() == pytest.approx(0.4 * 0.8 * fainter, rel=0.05)
    assert np.abs(density - 1).max() <= 0.8 * fainter + 1e-9


def test_clouds_are_as_faint_as_the_mean_over_the_path_through_them() -> None:
    """Against 24 samples along each path, over a fourfold and a fifteenfold of a cloud's width."""
    for path_m in (32.0, 120.0):
        singles, means = [], []
        for clip in range(8):
            fog = drifting_fog(
                Fog(extinction_per_m=0.01, noise_amplitude=0.8, noise_scale_m=8.0),
                (0.0, 0.0, 0.0), 400.0, 300.0, np.zeros(65536), ("test", clip),
            )  # fmt: skip
            assert fog is not None
            along = []
            for place in path_m * (np.arange(24) + 0.5) / 24:  # a sample lies half way to its pixel
                level = np.full((120, 200), round(65535 * 2 * place / 300), np.uint16)
                along.append((fog.density(0.0, level) - 1) * math.sqrt(1 + 2 * place / 8))
            means.append(np.mean(along, axis=0))
            level = np.full((120, 200), round(65535 * path_m / 300), np.uint16)
            singles.append(fog.density(0.0, level) - 1)
        assert np.std(singles) == pytest.approx(np.std(means), rel=0.35)


def test_transmission_is_bouguers_law_of_the_density_spread_bilinearly() -> None:
    fog = _fog()
    depth = (65535 * np.random.Generator(np.random.Philox(2)).random((61, 97))).astype(np.uint16)
    rows, columns = np.mgrid[:61, :97] / STEP_PX
    density = map_coordinates(fog.density(1.5, depth), [rows, columns], order=1)
    tau = 0.01 * FAR * depth / 65535 * density + 0.2 * depth / 65535
    assert np.abs(fog.transmission(1.5, depth) - 65535 * np.exp(-tau)).max() < 1.0


def test_nothing_passes_fog_that_is_thick_beyond_the_table() -> None:
    assert _fog(extinction_per_m=0.2, noise_amplitude=0.1).transmission(0.0, WALL).max() == 0


def test_fog_of_almost_no_noise_is_the_even_fog_and_of_none_has_no_pattern_at_all() -> None:
    fog = _fog(noise_amplitude=1e-9)
    levels = depth_levels(FAR)
    even = transmission_table(0.01 * levels + 0.2 * levels / FAR)[WALL[:1] // 2]
    assert np.abs(fog.transmission(0.0, WALL // 2) - even.astype(int)).max() <= 1
    assert drifting_fog(Fog(), (1.0, 0.0, 0.0), FOCAL, FAR, levels, ("test",)) is None


def test_a_frame_in_uneven_fog_needs_no_other_and_the_fog_of_each_clip_is_its_own() -> None:
    clip = ArrayClip(np.full((4, 64, 96, 3), 90, np.uint8))
    scene = preset("moderate")
    fog = dataclasses.replace(scene.fog, noise_amplitude=0.6, extinction_per_m=0.02)
    scene = dataclasses.replace(scene, fog=fog)
    one, other = (
        prepare(clip, scene, seed=seed, depth="constant:60", motion="static") for seed in (1, 2)
    )
    t16 = [render_frame(one, i, clip[i]).t16 for i in range(4)]
    again = prepare(clip, scene, seed=1, depth="constant:60", motion="static")
    assert all((render_frame(again, i, clip[i]).t16 == t16[i]).all() for i in (3, 1, 0, 2))
    assert np.ptp(t16[0].astype(int)) > 2000 and (t16[0] != t16[3]).any()
    assert (render_frame(other, 0, clip[0]).t16 != t16[0]).mean() > 0.9


def test_visibility_is_another_way_to_give_the_extinction() -> None:
    scene = Recipe({"fog": {"visibility_m": 500}}).draw(0)
    assert math.exp(-scene.fog.extinction_per_m * 500) == pytest.approx(0.02, rel=1e-3)
    assert scene.fog.visibility_m is None  # one number says it, in meta too
    assert structure(Scene, json.loads(json.dumps(dataclasses.asdict(scene))), "meta") == scene


@pytest.mark.parametrize(
    ("fog", "fault"),
    [
        ({"visibility_m": 500, "extinction_per_m": 0.01}, "fog needs one of"),
        ({"visibility_m": 0}, "fog visibility_m is 0, must lie in [20"),
        ({"visibility_m": {"uniform": [500, 1e9]}}, "fog visibility_m is 1e+09"),
        ({"noise_amplitude": 0.9}, "fog.noise_amplitude is 0.9"),
    ],
)
def test_fog_that_cannot_be_is_refused_by_name(fog: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=re.escape(fault)):
        Recipe({"fog": fog})
