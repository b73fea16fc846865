"""The air of a night against integrals by quadrature."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad

from rvsd_bench.generators import preset
from rvsd_bench.generators.haze import depth_levels, transmission_table
from rvsd_bench.generators.lightmap import cells
from rvsd_bench.generators.night_air import FOG_SHARE, depth_of_cells, night_air
from rvsd_bench.generators.scene import Scene

FAR = 200.0
FOG, SNOW = 0.006, 0.003
AT = (5.0, 20.0, 60.0, 199.0)


def _scene(fog: float = FOG, **light: float) -> Scene:
    scene = preset("headlight")
    return dataclasses.replace(
        scene,
        fog=dataclasses.replace(scene.fog, extinction_per_m=fog),
        light=dataclasses.replace(scene.light, **light),
    )


def _level(depth_m: float) -> int:
    return round(depth_m / FAR * 65535)


def test_headlights_light_the_air_as_an_integral_there_and_back_says() -> None:
    """integral of beta exp(-2 beta s) / (s^2 + offset^2), by adaptive quadrature."""
    scene = _scene(headlight_m2=400.0, headlight_offset_m=2.0)
    air = night_air(scene, transmission_table(FOG * depth_levels(FAR)), FAR, 3.0)
    for z in AT:
        value, _ = quad(lambda s: 400 * FOG * np.exp(-2 * FOG * s) / (s * s + 4), 0, z)
        seen = air.thrown_back[_level(z)] * air.opaque[_level(z)]
        assert seen == pytest.approx(FOG_SHARE * value, rel=0.01)


def test_the_veil_of_merged_flakes_is_as_bright_as_they_are() -> None:
    """Half fog, half snow of three times its radiance, from 30 m on; and snow alone."""
    z = depth_levels(FAR)
    veil = SNOW * np.maximum(z - 30, 0)
    air = night_air(_scene(), transmission_table(FOG * z + veil), FAR, 3.0)
    for depth in (20.0, 60.0, 199.0):

        def shone(s: float) -> float:
            tau = FOG * s + SNOW * max(s - 30, 0)
            return float((FOG + 3 * SNOW * (s > 30)) * np.exp(-tau))

        value, _ = quad(shone, 0, depth, points=[30.0] if depth > 30 else None)
        seen = air.snow[_level(depth)] * air.opaque[_level(depth)]
        assert seen == pytest.approx(value, rel=0.01)
    alone = night_air(_scene(fog=0.0), transmission_table(SNOW * z), FAR, 3.0)
    assert alone.snow[1000:] == pytest.approx(3.0, abs=0.02)


def test_light_of_all_is_stored_and_its_share_gives_the_glow_again() -> None:
    air = night_air(_scene(), transmission_table(FOG * depth_levels(FAR)), FAR, 3.0)
    glow = np.full((3, 4, 3), 2000, np.uint16)
    ambient, depth = np.array([2000, 2500, 3000], np.uint16), np.full((3, 4), _level(20), np.uint16)
    lit, share = air.lit(glow, depth, ambient, np.ones((3, 4), np.float32))
    expected = 2000 + ambient * air.thrown_back[_level(20)]
    assert lit[1, 1] == pytest.approx(expected, abs=1)
    luma = np.array([0.2126, 0.7152, 0.0722])
    assert share * (lit @ luma) == pytest.approx(np.full((3, 4), 2000.0), rel=1e-5)
    dark, whole = air.lit(glow, depth, ambient, None)
    assert (dark == glow).all() and whole == pytest.approx(1)


def test_the_depth_of_a_cell_is_that_of_its_middle_also_where_it_juts_out() -> None:
    depth = np.arange(20 * 27, dtype=np.uint16).reshape(20, 27)
    middles = depth_of_cells(depth)
    assert middles.shape == cells((20, 27))
    assert middles[0, 0] == depth[4, 4] and middles[2, 3] == depth[19, 26]
