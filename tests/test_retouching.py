"""Hold windows composed anew to the model of haze and snow, evaluated another way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from rvsd_bench.seeds import stream
from rvsd_bench.training.batches import Layers
from rvsd_bench.training.retouching import CHANCE, Composed, Touch, draw_touch, retouched, turn
from rvsd_bench.training.windows import pack, turned, unpack

NOTHING = Touch(1.0, torch.ones(3, 1, 1), 1.0, 1.0, torch.eye(3), 1.0, torch.ones(3, 1, 1))


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _window(side: int = 24) -> Composed:
    """Return frames in which flakes of brightness 0.9 hide a share z of the hazy scene."""
    clean, light = _random(3, 3, side, side), torch.full((3, 3, side, side), 0.8)
    air = 0.2 + 0.7 * _random(3, 1, side, side, seed=1)
    z = _random(3, 1, side, side, seed=2) * (_random(3, 1, side, side, seed=3) > 0.8)
    hazy = clean * air + light * (1 - air)
    return Composed((1 - z) * hazy + z * 0.9, clean, light, air, z)


def _some(seed: int) -> Touch:
    return next(t for n in range(50) if (t := draw_touch(stream(seed, n))) is not None)


def test_nothing_touched_is_nothing_changed() -> None:
    window = _window()
    for before, after in zip(window, retouched(window, NOTHING, 0.5), strict=True):
        assert torch.allclose(before, after, atol=2e-4), "black is 1e-4, for the gamma's sake"


@pytest.mark.parametrize("seed", range(4))
def test_the_frame_is_the_one_that_the_other_scene_air_and_light_would_give(seed: int) -> None:
    """Each flake hides the same share, and is as bright as before."""
    window, touch = _window(), _some(seed)
    new = retouched(window, touch, 0.5)
    clean, light, air, z = (t.numpy().astype(np.float64) for t in new[1:])
    wanted = (1 - z) * (clean * air + light * (1 - air)) + z * 0.9
    assert np.allclose(new.snowy.numpy(), np.clip(wanted, 0, 1), atol=1e-5)
    assert not torch.allclose(new.clean, window.clean, atol=1e-2)


def test_thicker_haze_has_the_square_of_the_transmission() -> None:
    twice = replace(NOTHING, thickness=2.0)
    window = _window()
    found = retouched(window, twice, 0.5).transmission
    assert torch.allclose(found, window.transmission.square().clamp_min(0.05), atol=1e-6)


def test_so_many_windows_are_retouched_and_equal_chances_give_equal_touches() -> None:
    drawn = [draw_touch(stream("touch", n)) for n in range(400)]
    assert abs(sum(t is not None for t in drawn) / 400 - CHANCE) < 0.07
    again = draw_touch(stream("touch", 3))
    assert repr(again) == repr(drawn[3])


@pytest.mark.parametrize("touch", [None, _some(1)])
def test_a_crop_and_its_picture_are_of_one_scene(touch: Touch | None) -> None:
    window = _window(48)
    hazy = window.clean * window.transmission + window.light * (1 - window.transmission)
    layers = Layers(window.snowy - hazy, window.transmission, window.light, window.coverage)
    sample = unpack(pack(window.snowy, window.clean, layers, 7, rows=12), 8, 20, 16, touch)
    assert sample.around is not None and sample.layers is not None
    assert sample.around.transmission is not None
    top, left, height, width = (sample.around.place * 48).tolist()
    assert (top, left, height, width) == pytest.approx((8, 20, 16, 16))
    # Four pixels of the window are one of the picture: the crop's mean is that of its place.
    shown = sample.around.picture[:, 2:6, 5:9].mean((-2, -1))
    assert torch.allclose(shown, sample.snowy.mean((0, -2, -1)), atol=0.03)
    thin = float(sample.around.transmission[:, 2:6, 5:9].mean() - sample.layers.T.mean())
    assert abs(thin) < 0.04
    found = sample.layers
    again = sample.clean * found.T + found.A * (1 - found.T) + found.S
    assert torch.allclose(again, sample.snowy, atol=1e-6)


def test_a_mirrored_crop_lies_mirrored_in_its_picture() -> None:
    window = _window(48)
    layers = Layers(window.clean * 0, window.transmission, window.light, window.coverage)
    sample = unpack(pack(window.snowy, window.clean, layers, 7, rows=12), 8, 20, 16)
    found = turned(sample, mirror=True, transpose=True)
    assert sample.around is not None and found.around is not None
    assert torch.equal(found.around.picture, sample.around.picture.flip(-1))
    assert torch.equal(found.snowy, sample.snowy.flip(-1)), "never on its side"
    wanted = [8 / 48, 1 - 20 / 48 - 16 / 48, 16 / 48, 16 / 48]
    assert found.around.place.tolist() == pytest.approx(wanted)


def test_a_third_of_the_circle_makes_red_green_and_leaves_grey() -> None:
    red, green, grey = torch.eye(3)[0], torch.eye(3)[1], torch.full((3,), 0.4)
    assert torch.allclose(turn(1 / 3) @ red, green, atol=1e-6)
    assert torch.allclose(turn(0.123) @ grey, grey, atol=1e-6)
    assert torch.allclose(turn(0.2) @ turn(-0.2), torch.eye(3), atol=1e-6)
