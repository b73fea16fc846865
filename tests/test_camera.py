"""The camera: how its field of view can be given."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.recipe import structure


def test_sensor_and_focal_length_are_another_way_to_give_the_field_of_view() -> None:
    scene = Recipe({"camera": {"sensor_mm": 36, "focal_mm": 50}}).draw(0)
    # 36 mm of sensor on 1920 pixels: 50 mm are 50 / 36 picture widths.
    assert scene.camera.focal_px(1920) == pytest.approx(1920 * 50 / 36)
    assert scene.camera.hfov_deg == pytest.approx(39.6, abs=0.05)  # a normal lens, as sold
    assert structure(Scene, json.loads(json.dumps(dataclasses.asdict(scene))), "meta") == scene


def test_the_focal_length_alone_changes_the_blur_and_not_the_view() -> None:
    scene = Recipe({"camera": {"focal_mm": 50}}).draw(0)
    assert scene.camera.focal_px(1000) == Scene().camera.focal_px(1000)
    assert math.degrees(2 * math.atan(500 / scene.camera.focal_px(1000))) == pytest.approx(58.1)


@pytest.mark.parametrize(
    ("camera", "fault"),
    [
        ({"hfov_deg": 60, "sensor_mm": 36}, "camera needs one of hfov_deg and sensor_mm"),
        ({"sensor_mm": 0}, "camera sensor_mm is 0, must lie in [1, 100]"),
        ({"sensor_mm": {"uniform": [5, 500]}}, "camera sensor_mm is 500"),
        ({"sensor_mm": 36, "focal_mm": 600}, "camera.hfov_deg is 3.4"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_by_name(camera: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=re.escape(fault)):
        Recipe({"camera": camera})
