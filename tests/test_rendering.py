from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.colour import decode_srgb, encode_srgb
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, prepare, preset, render, render_frame
from rvsd_bench.generators.compose import compose
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.media.reading import View

GREY = (0.5, 0.5, 0.5)


def _clip(frames: int = 3, size: tuple[int, int] = (72, 128), value: int = 60) -> ArrayClip:
    draw = np.random.Generator(np.random.Philox(1)).random((frames, *size, 3))
    return ArrayClip((value * (0.5 + draw)).astype(np.uint8), fps=25.0, name="noise")


def _scene(name: str = "heavy", **parts: dict[str, Any]) -> Scene:
    scene = preset(name)
    parts = {"light": {"airlight": GREY}} | parts
    changed = {k: dataclasses.replace(getattr(scene, k), **v) for k, v in parts.items()}
    return dataclasses.replace(scene, **changed)


def _digest(frame: Any) -> str:
    planes = (frame.snowy, frame.t16, frame.z16, frame.p16, frame.a16)
    return hashlib.sha256(b"".join(plane.tobytes() for plane in planes)).hexdigest()


@pytest.mark.parametrize("motion", ["static", "drive:50"])
def test_a_frame_is_the_same_alone_in_any_order_and_in_a_copy_of_the_shot(motion: str) -> None:
    clip = _clip(4)
    settings: dict[str, Any] = {"depth": "ground", "motion": motion, "source_id": "s"}
    forward = [_digest(f) for f in render(clip, _scene(), 5, **settings)]
    shot = pickle.loads(pickle.dumps(prepare(clip, _scene(), seed=5, **settings)))
    backward = [_digest(render_frame(shot, i, clip[i])) for i in (3, 2, 1, 0)]
    assert backward[::-1] == forward
    assert len(set(forward)) == 4


def test_a_view_that_begins_later_shows_the_same_snow() -> None:
    clip = _clip(6)
    later = View(clip, 2, 6, clip.size)
    settings: dict[str, Any] = {"depth": "constant:40", "motion": "static"}
    whole = [_digest(f) for f in render(clip, _scene(), 5, **settings)]
    assert [_digest(f) for f in render(later, _scene(), 5, **settings)] == whole[2:]


def test_seed_source_and_variant_each_change_the_snow() -> None:
    clip = _clip(1)
    few = _scene("flurry")
    keys = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    digests = {
        _digest(next(render(clip, few, seed, source_id=source, variant=variant, motion="static")))
        for seed, source, variant in keys
    }
    assert len(digests) == 4


@pytest.mark.parametrize("domain", ["linear", "srgb"])
def test_the_layers_give_the_frame_again_byte_for_byte_and_as_an_equation(domain: str) -> None:
    clip = _clip(1)
    frame = next(render(clip, _scene(compose={"domain": domain}), 3, motion="static"))
    again = compose(frame.clean, frame.t16, frame.z16, frame.p16, frame.a16, frame.gain, domain)
    assert (again == frame.snowy).all()
    J = frame.clean / 255 if domain == "srgb" else decode_srgb(frame.clean / 255)
    whole = J * frame.T + frame.A * (1 - frame.T) + frame.S
    shown = encode_srgb(whole) if domain == "linear" else whole
    assert np.abs(255 * shown - frame.snowy).max() <= 0.6
    assert frame.z.max() > 0.3 and frame.S.max() > 0.05


def test_flakes_grain_and_veil_together_take_what_the_size_law_says() -> None:
    """The mean of (1 - z)·T over many moments against exp(-(fog + snow)·depth)."""
    scene = _scene("moderate", snow={"rate_mm_per_h": 3.0})
    clip = ArrayClip(np.full((12, 90, 160, 3), 60, np.uint8), fps=0.5)
    for depth in (6.0, 40.0):
        shot = prepare(clip, scene, seed=2, depth=f"constant:{depth}", motion="static")
        frames = [render_frame(shot, index, clip[index]) for index in range(12)]
        kept = np.mean([(frame.T * (1 - frame.z)).mean() for frame in frames])
        snow = shot.facts["snowfall"]["snow_extinction_per_m"]
        tau = scene.fog.extinction_per_m * depth + snow * (depth - scene.camera.near_m)
        assert -np.log(kept) == pytest.approx(tau, rel=0.05)


def test_haze_alone_is_bouguers_law() -> None:
    """Near the camera no flakes merge into the veil: the slope of -ln T is that of the fog."""
    scene = _scene("moderate", snow={"rate_mm_per_h": 0.05}, fog={"extinction_per_m": 0.03})
    clip = _clip(1)
    taus = []
    for depth in (1.0, 2.0):
        frame = next(render(clip, scene, 1, depth=f"constant:{depth}", motion="static"))
        assert np.ptp(frame.t16) == 0
        taus.append(-np.log(frame.T[0, 0, 0]))
    assert taus[1] - taus[0] == pytest.approx(0.03, abs=2e-4)


def test_flakes_before_a_bright_sky_are_darker_than_the_sky() -> None:
    frame = np.full((1, 90, 160, 3), 70, np.uint8)
    frame[:, :40] = 225
    clip = ArrayClip(frame, fps=25.0)
    scene = dataclasses.replace(preset("heavy"), light=dataclasses.replace(preset("heavy").light))
    shot = prepare(clip, scene, seed=1, motion="static", depth="ground")
    assert shot.facts["atmospheric_light"]["rule"] == "sky"
    made = render_frame(shot, 0, clip[0])
    sky, road = made.S[:36], made.S[60:]
    covered = made.z[:36, :, 0] > 0.05
    assert covered.any()
    assert (sky[covered] < 0).all() and road.max() > 0.03
    bright = decode_srgb(np.array([225 / 255]))[0]
    radiance = made.A * (made.p16 * made.gain / 65535)[..., None] / np.maximum(made.z, 1e-3)
    assert radiance[:36][covered].max() <= bright


def test_no_flake_saturates_a_layer_or_a_frame_even_where_all_may_be_bright() -> None:
    scene = _scene(light={"airlight": (0.2, 0.22, 0.24), "flake_gain": 4.0})
    frame = next(render(_clip(1), scene, 1, motion="static"))
    assert frame.gain == 4 or frame.gain == 8
    assert frame.p16.max() < 65535
    assert (frame.A * (frame.p16 * frame.gain / 65535)[..., None]).max() <= 1


def test_a_recipe_is_drawn_before_it_is_rendered() -> None:
    recipe = Recipe({"snow": {"rate_mm_per_h": {"uniform": [1, 3]}}}, "r")
    shot = prepare(_clip(1), recipe, seed=4, source_id="x", variant=2, motion="static")
    assert shot.scene == recipe.draw(4, "x", 2)


def test_what_meta_records_is_json_and_holds_what_is_needed_to_render_again() -> None:
    shot = prepare(_clip(1), _scene(), seed=4, source_id="x", variant=2, motion="drive:30")
    facts = json.loads(json.dumps(shot.facts, allow_nan=False))
    assert (facts["seed"], facts["source_id"], facts["variant"]) == (4, "x", 2)
    assert facts["compose"]["gain"] == shot.gain
    assert facts["atmospheric_light"]["value16"] == [32768] * 3
    assert facts["motion"]["velocity_m_per_s"][2] == pytest.approx(30 / 3.6, rel=1e-2)
    assert facts["snowfall"]["visibility_m"] < 400  # heavy snow by the observers' classes


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ({"camera": {"shutter_s": 0.05}}, "camera.shutter_s 0.05 exceeds"),
        ({"camera": {"near_m": 5.0}}, "camera.near_m 5 is not nearer"),
    ],
)
def test_numbers_that_do_not_fit_the_clip_are_refused(parts: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        prepare(_clip(1), _scene(**parts), seed=0, depth="constant:4", motion="static")


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_clip_of_one_colour_is_snowed_on_like_any_other(value: int) -> None:
    clip = ArrayClip(np.full((2, 36, 64, 3), value, np.uint8))
    with np.errstate(all="raise"):
        shot = prepare(clip, preset("moderate"), seed=1)
        frame = render_frame(shot, 1, clip[1])
    assert np.isfinite(shot.depth.at(1)).all()
    assert frame.t16[0].mean() < frame.t16[-1].mean() < 65535  # what is nearer is clearer
    assert frame.z16.any()


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (33, 17)])
def test_a_small_clip_is_rendered_even_if_no_flake_is_drawn_singly(size: tuple[int, int]) -> None:
    far_flakes_only = _scene("light", camera={"near_m": 5.0})
    (frame,) = render(_clip(1, size), far_flakes_only, motion="static")
    assert frame.snowy.shape == (*size, 3)
    assert frame.t16.min() < 65535


def test_a_clip_without_room_for_a_picture_is_refused() -> None:
    with pytest.raises(InputError, match=r"noise is 40 x 15 pixels; .* from 16 x 16 on"):
        prepare(_clip(1, (15, 40)), _scene(), seed=0)
