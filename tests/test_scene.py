from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, load_recipe, preset, preset_names, recipe_names
from rvsd_bench.generators.population import View, smallest_area_px2
from rvsd_bench.generators.recipes import Recipe, as_recipe
from rvsd_bench.generators.scene import Camera
from rvsd_bench.generators.size_law import size_law
from rvsd_bench.recipe import structure


def _fields(value: Any) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        yield field, inner
        if dataclasses.is_dataclass(inner):
            yield from _fields(inner)


def test_every_number_of_a_scene_has_a_range_that_holds_its_default() -> None:
    for field, value in _fields(Scene()):
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                low, high = field.metadata["range"]
                assert low <= number <= high, field.name


def test_every_preset_loads_says_what_it_is_and_survives_json() -> None:
    assert {"flurry", "light", "moderate", "heavy", "blizzard"} <= set(preset_names())
    for name in preset_names():
        scene = preset(name)
        assert scene.about
        again = structure(Scene, json.loads(json.dumps(dataclasses.asdict(scene))), "meta")
        assert again == scene


def test_an_unknown_preset_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(InputError, match="Did you mean 'heavy'"):
        preset("heavey")


def test_the_field_of_view_gives_the_focal_length() -> None:
    camera = Camera(hfov_deg=90)
    assert camera.focal_px(1000) == pytest.approx(500)
    assert Camera().focal_px(1280) == pytest.approx(0.9 * 1280, rel=1e-3)


def _recipe(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "r.toml"
    path.write_text(text)
    return load_recipe(path)


def test_a_recipe_draws_the_same_scene_for_the_same_source_and_others_for_others(
    tmp_path: Path,
) -> None:
    recipe = _recipe(
        tmp_path,
        "[snow]\nrate_mm_per_h = {log_uniform = [0.5, 4]}\n"
        "[wind]\nvelocity_m_per_s = [{uniform = [-3, 3]}, 0.0, 0.2]\n"
        "turbulence_m_per_s = {choice = [0.2, 0.4]}\n",
    )
    drawn = [recipe.draw(1, "abc", variant) for variant in range(200)]
    assert drawn[7] == recipe.draw(1, "abc", 7) != recipe.draw(1, "abd", 7)
    rates = sorted(scene.snow.rate_mm_per_h for scene in drawn)
    assert rates[0] >= 0.5 and rates[-1] <= 4
    assert math.log(rates[100]) == pytest.approx(math.log(2) / 2, abs=0.2)  # between 0.5 and 4
    assert {scene.wind.turbulence_m_per_s for scene in drawn} == {0.2, 0.4}
    assert all(scene.wind.velocity_m_per_s[1:] == (0.0, 0.2) for scene in drawn)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[snow]\nrate = 1.0", "snow.rate_mm_per_h"),
        ("[snow]\nrate_mm_per_h = -1.0", "snow.rate_mm_per_h"),
        ("[snow]\nrate_mm_per_h = {uniform = [1, 40]}", "snow.rate_mm_per_h is 40"),
        ("[snow]\nrate_mm_per_h = {normal = [1, 1]}", "snow.rate_mm_per_h is -2"),
        ("[snow]\nsize_law = {choice = ['sekhon', 'marshall']}", "snow.size_law"),
        ("[camera]\nshutter_s = '1/60'", "camera.shutter_s"),
        (
            "camera.choice = [{f_number = 2.0}, {f_number = {uniform = [2, 99]}}]",
            "camera.f_number is 99",
        ),
        ("[snow]\nmelted_min_mm = 2\nmelted_max_mm = 1", "snow needs melted_min_mm below"),
        ("[snow]\nmelted_min_mm = 1.5\nmelted_max_mm = {uniform = [1.5, 3]}", "got 1.5 and 1.5"),
        ("[wind]\nsmallest_eddy_m = 9\nlargest_eddy_m = 2", "wind needs smallest_eddy_m below"),
    ],
)
def test_a_recipe_with_a_fault_in_any_corner_is_refused_when_it_is_read(
    tmp_path: Path, text: str, fault: str
) -> None:
    with pytest.raises(InputError) as caught:
        _recipe(tmp_path, text)
    assert fault in str(caught.value) and "r.toml" in str(caught.value)


def test_the_shipped_corpus_draws_snowfalls_winds_and_cameras_of_all_kinds() -> None:
    """Against medians and shares in closed form; and each can be simulated up to 3840 x 2160."""
    recipe = load_recipe("rvsd_like.toml")
    scenes = [recipe.draw(7, f"clip {i}", i % 4) for i in range(600)]
    rates = np.array([scene.snow.rate_mm_per_h for scene in scenes])
    assert np.median(rates) == pytest.approx(np.sqrt(0.4 * 6.0), rel=0.15)
    east, _, north = np.array([scene.wind.velocity_m_per_s for scene in scenes]).T
    assert np.hypot(east, north).mean() == pytest.approx(2.5 * np.sqrt(np.pi / 2), rel=0.08)
    turned = np.histogram(np.arctan2(north, east), 8, (-np.pi, np.pi))[0]
    assert stats.chisquare(turned).pvalue > 0.001
    lenses = [scene.camera.focal_mm for scene in scenes]
    assert {lens: pytest.approx(200, abs=50) for lens in (2.8, 4.25, 35.0)} == Counter(lenses)
    assert all(s.camera.near_m == (1.0 if s.camera.focal_mm == 2.8 else 0.3) for s in scenes)
    for scene in sorted(scenes, key=lambda scene: -scene.snow.rate_mm_per_h)[:12]:
        for height, width in ((720, 1280), (2160, 3840)):
            view = View(scene.camera.focal_px(width), (height, width), 0.3, 150.0)
            smallest_area_px2(size_law(scene.snow), scene, view)


def test_a_shipped_recipe_gives_way_to_a_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "rvsd_like.toml" in recipe_names()
    monkeypatch.chdir(tmp_path)
    _recipe(tmp_path, "[snow]\nrate_mm_per_h = 2.5").draw(0)
    (tmp_path / "r.toml").rename(tmp_path / "rvsd_like.toml")
    assert load_recipe("rvsd_like.toml").draw(0).snow.rate_mm_per_h == 2.5
    with pytest.raises(InputError, match=r"other\.toml: cannot be read"):
        load_recipe("other.toml")


def test_a_scene_is_a_recipe_that_always_draws_itself() -> None:
    scene = preset("heavy")
    assert as_recipe(scene).draw(3, "x", 2) == scene
