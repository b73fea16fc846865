from __future__ import annotations

import dataclasses
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from rvsd_bench.clip import ArrayClip, Frame
from rvsd_bench.colour import decode_srgb
from rvsd_bench.generators import Scene, prepare, preset, render, render_frame
from rvsd_bench.generators.compose import compose
from rvsd_bench.generators.flight import DEPTH, DU, GAIN, U, V
from rvsd_bench.generators.glow import SHARES, SPREADS, glow_of, lamps
from rvsd_bench.generators.headlights import cone, light_flakes, strength
from rvsd_bench.generators.lightmap import spread
from rvsd_bench.generators.scene import Light

H, W = 96, 160
LAMP = (slice(24, 32), slice(32, 40))
DARK = 20
FAR: dict[str, Any] = {"depth": "constant:60", "motion": "static", "source_id": "night"}


def _street(frames: int = 6, blinks: bool = False) -> ArrayClip:
    """Return a dark street with an orange lamp, which may shine in every other frame only."""
    draw = np.random.Generator(np.random.Philox(8)).random((frames, H, W, 3))
    pictures = (DARK * (0.5 + draw)).astype(np.uint8)
    pictures[:: 2 if blinks else 1, LAMP[0], LAMP[1]] = (255, 200, 90)
    return ArrayClip(pictures, fps=25.0, name="street")


def _scene(name: str = "night", **parts: dict[str, Any]) -> Scene:
    scene = preset(name)
    parts = {"tiers": {"dust_ratio": 2.0}} | parts  # the tiles of grain are what takes time
    changed = {k: dataclasses.replace(getattr(scene, k), **v) for k, v in parts.items()}
    return dataclasses.replace(scene, **changed)


def _radiance(frame: Any, part: tuple[slice, slice]) -> float:
    """Return the mean radiance of the flakes in a part of a frame, each as far as it covers."""
    shone = (frame.A * (frame.p16 * (frame.gain / 65535))[..., None])[part].mean()
    return float(shone / frame.z[part].mean())


def _mean_of_gaussian(low: float, high: float, sigma: float, at: float) -> float:
    return float(ndtr((high - at) / sigma) - ndtr((low - at) / sigma))


def test_lamps_are_what_exceeds_the_threshold_averaged_over_cells() -> None:
    found = lamps(_street(1)[0], 0.3)
    over = np.maximum(decode_srgb(np.array([255, 200, 90]) / 255) - 0.3, 0)
    assert found.shape == (12, 20, 3)
    assert found[3, 4] == pytest.approx(over, abs=1e-4)
    assert found.sum() == pytest.approx(over.sum(), abs=1e-3)


def test_a_cell_that_juts_out_of_the_picture_is_filled_from_its_edge() -> None:
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[16:, 16:] = 255
    found = lamps(frame, 0.5)
    assert found.shape == (3, 3, 3)
    assert found[2, 2] == pytest.approx(0.5) and found[:2].max() == 0


def test_the_glow_is_three_gaussians_that_saturate() -> None:
    """Against integrals of Gaussians over the lamp, by the normal distribution."""
    width = 1600
    frame = np.zeros((width // 2, width, 3), np.uint8)
    frame[400:464, 800:864] = 255
    light = Light(mode="night", lamp_threshold=0.5, lamp_glow=4.0)
    ambient = np.array([0.03, 0.04, 0.05])
    made = glow_of(ArrayClip(frame[None]), ambient, light, "linear").at(0) / 65535
    for i, j in [(54, 104), (54, 110), (60, 130)]:
        y, x = 8 * i + 4, 8 * j + 4
        shed = 0.0
        for spread_of_width, share in zip(SPREADS, SHARES, strict=True):
            sigma = spread_of_width * width
            across = _mean_of_gaussian(800, 864, sigma, x)
            shed += share * across * _mean_of_gaussian(400, 464, sigma, y)
        assert made[i, j] == pytest.approx(1 - (1 - ambient) * np.exp(-4 * 0.5 * shed), rel=0.01)


def test_the_glow_falls_as_light_that_is_scattered_once() -> None:
    """Against (pi - angle) / sin(angle), around a point source in thin air, over a tenfold."""
    width = 1600
    frame = np.zeros((width, width, 3), np.uint8)
    frame[800:808, 800:808] = 255
    light = Light(mode="night", lamp_glow=1.0)
    glow = glow_of(ArrayClip(frame[None]), np.zeros(3), light, "linear").at(0)[100, 100:, 0]
    cells = np.array([2, 3, 5, 8, 12, 16, 20])
    angle = np.arctan(cells * 8 / (0.9 * width))
    ratio = -np.log(1 - glow[cells] / 65535.0) / ((np.pi - angle) / np.sin(angle))
    assert ratio.max() / ratio.min() < 3.5  # of 13 in the light itself
    assert (np.diff(glow[cells].astype(int)) < 0).all()


def test_a_lamp_glows_by_the_air_before_it_and_never_by_more_than_it_loses() -> None:
    frame = np.zeros((320, 320, 3), np.uint8)
    frame[160:168, 160:168] = 255
    light = Light(mode="night", lamp_glow=1.0)
    glow = glow_of(ArrayClip(frame[None]), np.zeros(3), light, "linear")
    lamp = lamps(frame, light.lamp_threshold)[..., 0].sum()
    held = []
    for lost in (0.05, 0.4):
        opaque = np.full((40, 40), 0.6, np.float32)
        opaque[20, 20] = lost  # a lamp near by, or one farther off, before the end of a street
        seen = -np.log(1 - glow.at(0, frame, opaque)[..., 0] / 65535.0) * opaque
        held.append(seen.sum() / lamp)
        assert held[-1] <= lost * 1.001
    assert held[1] > 5 * held[0]


def test_without_lamps_the_air_is_evenly_dark() -> None:
    clip = ArrayClip(np.full((3, H, W, 3), DARK, np.uint8))
    frame = next(render(clip, _scene(), 1, **FAR))
    assert frame.light16 is not None and np.ptp(frame.light16, axis=(0, 1)).max() == 0
    assert 0.03 - 1e-4 <= frame.A.min() <= frame.A.max() <= 4 * 0.06


def test_a_flake_near_a_lamp_is_brighter_than_one_far_from_it_and_has_its_colour() -> None:
    scene = _scene(snow={"rate_mm_per_h": 4.0})
    frame = next(render(_street(1), scene, 3, **FAR))
    near, far = (slice(16, 40), slice(24, 48)), (slice(56, 96), slice(110, 160))
    assert _radiance(frame, near) > 3 * _radiance(frame, far)
    assert frame.A[28, 60, 0] > 1.5 * frame.A[28, 60, 2]
    assert frame.A[90, 150, 0] < 1.2 * frame.A[90, 150, 2]


def _planes(frame: Any) -> list[NDArray[Any]]:
    return [frame.snowy, frame.t16, frame.z16, frame.p16, frame.light16]


@pytest.mark.parametrize("name", ["night", "headlight"])
def test_a_frame_is_the_same_alone_in_any_order_and_in_a_copy_of_the_shot(name: str) -> None:
    clip = _street(7, blinks=True)
    forward = [_planes(f) for f in render(clip, _scene(name), 5, **FAR)]
    shot = prepare(clip, _scene(name), seed=5, **FAR)
    for index in (6, 0, 3, 1):
        alone = pickle.loads(pickle.dumps(prepare(clip, _scene(name), seed=5, **FAR)))
        for frame in (
            render_frame(shot, index, clip[index]),
            render_frame(alone, index, clip[index]),
        ):
            assert all((a == b).all() for a, b in zip(_planes(frame), forward[index], strict=True))


def test_a_lamp_that_blinks_glows_on_in_the_mean_of_five_frames() -> None:
    clip = _street(9, blinks=True)
    light = Light(mode="night", lamp_glow=0.1)
    glow = glow_of(clip, np.zeros(3), light, "linear")
    steady = glow_of(_street(9), np.zeros(3), light, "linear").at(4)[3, 4, 0]
    seen = [glow.at(index)[3, 4, 0] / steady for index in (3, 4, 5)]
    assert seen == pytest.approx([2 / 5, 3 / 5, 2 / 5], abs=0.02)


class _Counted(ArrayClip):
    """A clip that counts how often its frames are read, over all its copies."""

    reads: ClassVar[list[int]] = []

    def __getitem__(self, index: int) -> Frame:
        self.reads.append(index)
        return super().__getitem__(index)


def test_rendering_in_order_reads_each_frame_once_for_the_glow() -> None:
    clip = _Counted(_street(8).frames, fps=25.0)
    glow = glow_of(clip, np.zeros(3), Light(mode="night"), "linear")
    _Counted.reads.clear()
    for index in range(8):
        glow.at(index)
    assert _Counted.reads == list(range(8))


@pytest.mark.parametrize("domain", ["linear", "srgb"])
@pytest.mark.parametrize("name", ["night", "headlight"])
def test_the_layers_give_the_frame_again_and_no_flake_outshines_white(
    name: str, domain: str
) -> None:
    scene = _scene(name, compose={"domain": domain}, snow={"rate_mm_per_h": 6.0})
    frame = next(render(_street(1), scene, 3, **FAR))
    assert frame.light16 is not None
    air = spread(frame.light16, (H, W))
    again = compose(frame.clean, frame.t16, frame.z16, frame.p16, air, frame.gain, domain)
    assert (again == frame.snowy).all()
    shone = frame.gain * frame.p16[..., None].astype(np.int64) * air
    assert (shone <= 65535 * frame.z16[..., None].astype(np.int64)).all()
    whole = frame.J * frame.T + frame.A * (1 - frame.T) + frame.S
    assert whole.max() <= 1 + 1e-9


def test_headlights_fall_with_the_square_of_distance_and_away_from_the_axis() -> None:
    light = Light(headlight_m2=90.0, headlight_offset_m=3.0)
    assert strength(light, np.array([0.0, 3.0, 9.0])) == pytest.approx([10.0, 5.0, 1.0])
    wide = Light(beam_width_deg=40.0, beam_height_deg=20.0)
    focal = 4 / np.tan(np.radians(10)) * 10  # so that 10 degrees are 40 pixels high
    beam = cone(wide, (168, 328), focal)
    middle = beam[10, 20]
    assert middle == pytest.approx(1.0)
    assert beam[15, 20] == pytest.approx(0.5) and beam[5, 20] == pytest.approx(0.5)
    assert beam[10, 20 + 8] == pytest.approx(0.5 ** ((64 / (focal * np.tan(np.radians(20)))) ** 2))


def test_a_flake_gets_the_headlight_of_its_distance_where_it_flies_in_the_beam() -> None:
    light = Light(headlight_m2=90.0, headlight_offset_m=3.0)
    beam = np.array([[0.0, 0.5], [0.25, 1.0]], np.float32)
    rows = np.zeros((4, 10))
    rows[:, GAIN] = 2.0
    rows[:, DEPTH] = 3.0, 9.0, 9.0, 1.0
    rows[:, U], rows[:, V] = (4.0, 12.0, -50.0, 12.0), (4.0, 4.0, 50.0, 4.0)
    rows[3, DU] = -10.0  # half of its way it is in the cell on the left
    light_flakes(rows, beam, light)
    assert rows[:, GAIN] == pytest.approx([2.0, 2.5, 2.25, 2.0])


def test_headlights_make_the_same_snow_brighter_most_of_all_near_flakes_on_the_axis() -> None:
    plain = _scene("headlight", light={"mode": "night"}, snow={"rate_mm_per_h": 5.0})
    scene = dataclasses.replace(plain, light=dataclasses.replace(plain.light, mode="headlight"))
    clip = ArrayClip(np.full((1, H, W, 3), DARK, np.uint8))
    middle, corner = (slice(32, 64), slice(50, 110)), (slice(0, 12), slice(0, 20))
    ratio = {}
    for depth in (4.0, 60.0):
        near: dict[str, Any] = FAR | {"depth": f"constant:{depth}"}
        (dark,), (lit,) = (list(render(clip, s, 3, **near)) for s in (plain, scene))
        assert (dark.z16 == lit.z16).all() and (dark.t16 == lit.t16).all()
        ratio[depth] = _radiance(lit, middle) / _radiance(dark, middle)
        aside = _radiance(lit, corner) / _radiance(dark, corner)
        assert aside - 1 < 0.25 * (ratio[depth] - 1)
    assert ratio[4.0] > ratio[60.0] > 1.5


def test_next_to_a_lamp_headlights_add_no_more_than_elsewhere() -> None:
    """Radiance is stored over the air's light; what headlights add must not grow with that."""
    plain = _scene(
        "headlight", light={"mode": "night", "lamp_glow": 5.0}, snow={"rate_mm_per_h": 5.0}
    )
    scene = dataclasses.replace(plain, light=dataclasses.replace(plain.light, mode="headlight"))
    added = []
    for lamp in (False, True):
        pictures = np.full((1, H, W, 3), DARK, np.uint8)
        if lamp:
            pictures[:, 44:52, 60:68] = 255
        (dark,), (lit,) = (list(render(ArrayClip(pictures), s, 3, **FAR)) for s in (plain, scene))
        beside = (slice(40, 56), slice(84, 96))
        added.append((lit.S - dark.S)[beside].mean())
    assert added[1] == pytest.approx(added[0], rel=0.1)


def test_by_day_there_is_one_light_and_nothing_of_the_night_is_kept() -> None:
    shot = prepare(_street(2), _scene("moderate"), seed=1, **FAR)
    frame = render_frame(shot, 0, _street(2)[0])
    assert frame.light16 is None and frame.a16.shape == (3,)
    assert "map" not in shot.facts["atmospheric_light"]
