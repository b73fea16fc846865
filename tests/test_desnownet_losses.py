"""The pyramid loss against its equation written out, and what its terms do to the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rvsd_bench.baselines.desnownet.config import Config
from rvsd_bench.baselines.desnownet.losses import (
    TAU,
    adam_weight_decay,
    pseudo_mask,
    pyramid_loss,
    snow_light,
)
from rvsd_bench.baselines.desnownet.network import DesnowNet
from rvsd_bench.baselines.desnownet.objective import build
from rvsd_bench.errors import InputError
from rvsd_bench.training.batches import Batch, Layers


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def _pooled(picture: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the maxima over squares of a picture [C, H, W]; what is left over is dropped."""
    channels, height, width = picture.shape
    out = np.empty((channels, height // side, width // side))
    for c in range(channels):
        for i in range(height // side):
            for j in range(width // side):
                square = picture[c, i * side : (i + 1) * side, j * side : (j + 1) * side]
                out[c, i, j] = max(float(v) for v in square.flat)
    return out


@pytest.mark.parametrize(("size", "tau"), [((64, 64), 6), ((37, 50), 5), ((8, 9), 3), ((5, 4), 0)])
def test_it_is_the_sum_over_levels_of_squared_differences_of_maxima(
    size: tuple[int, int], tau: int
) -> None:
    ours, truth = _random(2, 3, *size), _random(2, 3, *size, seed=1)
    wanted, means = 0.0, 0.0
    for i in range(tau + 1):
        squares = [
            (_pooled(ours[b].numpy(), 2**i) - _pooled(truth[b].numpy(), 2**i)) ** 2 for b in (0, 1)
        ]
        wanted += sum(float(s.sum()) for s in squares)
        means += float(np.mean(squares))
    assert float(pyramid_loss(ours, truth, tau)) == pytest.approx(wanted / 2, rel=1e-12)
    assert float(pyramid_loss(ours, truth, tau, "mean")) == pytest.approx(means, rel=1e-12)


def test_without_levels_it_is_the_squared_error() -> None:
    ours, truth = _random(1, 2, 3, 6, 7), _random(1, 2, 3, 6, 7, seed=1)
    assert float(pyramid_loss(ours, truth, 0)) == pytest.approx(
        float(((ours - truth) ** 2).sum() / 2)
    )


def test_a_crop_of_64_ends_at_one_pixel_after_six_levels() -> None:
    ours, truth = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    ours[0, 0, 5, 9] = 1
    # One pixel is the largest of its square at each of the levels 0 to 6.
    assert float(pyramid_loss(ours, truth)) == TAU + 1 == 7
    with pytest.raises(InputError, match=r"level 6 needs crops of at least 64 .* got 64x63"):
        pyramid_loss(ours[..., :63, :], truth[..., :63, :])


def test_squares_are_told_by_their_maximum_and_not_by_their_mean() -> None:
    ours, truth = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.25)
    ours[0, 0, 0, 0] = 1  # the same mean, another maximum
    extra = pyramid_loss(ours, truth, 1) - pyramid_loss(ours, truth, 0)
    assert float(extra) == pytest.approx(0.75**2)


def test_pictures_of_different_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="compares"):
        pyramid_loss(_random(1, 3, 8, 8), _random(1, 1, 8, 8), 0)


def test_the_light_of_the_snow_is_what_equation_1_adds_to_the_scene() -> None:
    clean, mask, a = (_random(1, c, 9, 9, seed=c) for c in (3, 1, 3))
    assert torch.allclose(snow_light(a * mask + clean * (1 - mask), clean, mask), a * mask)
    hazy = 0.5 * clean + 0.5  # brighter than the scene where there is no snow at all
    assert float(snow_light(hazy, clean, torch.zeros_like(mask)).abs().max()) == 0


def test_weight_decay_acts_as_the_last_term_of_equation_8() -> None:
    ends = []
    for in_the_loss in (True, False):
        w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([w], 0.1, weight_decay=0 if in_the_loss else adam_weight_decay(0.2))
        for _ in range(5):
            adam.zero_grad()
            loss = (w - 1).square().sum() + (0.2 * w.square().sum() if in_the_loss else 0)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        ends.append(w.detach())
    assert torch.allclose(*ends, rtol=1e-12)


def test_the_pseudo_mask_is_near_the_mask_of_white_snow_and_zero_without_any() -> None:
    clean, mask = _random(1, 3, 9, 9) * 0.4, _random(1, 1, 9, 9, seed=1)
    snowy = mask + clean * (1 - mask)
    found = pseudo_mask(snowy, clean.requires_grad_())
    assert found.shape == mask.shape and not found.requires_grad
    assert float((found - mask).abs().max()) < 0.05 / 0.6
    assert float(pseudo_mask(clean, clean).max()) == 0
    assert float(pseudo_mask(clean * 0.5, clean).max()) == 0


def test_a_few_steps_of_training_learn_a_mask_and_lower_every_term() -> None:
    clean = _random(4, 1, 3, 16, 16).float() * 0.5
    mask = (_random(4, 1, 1, 16, 16, seed=1) > 0.9).float() * 0.8
    snowy = mask + clean * (1 - mask)
    network = DesnowNet(Config(width=1 / 32, blocks=(1, 1, 1), dp_channels=8)).train()
    adam = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=adam_weight_decay())
    history = []
    layers = Layers(S=mask, T=torch.ones_like(mask), A=torch.ones_like(snowy), z=mask)
    batch = Batch(snowy, clean, layers, (0, 1, 2, 3))
    learn = build({"recovered": 1, "restored": 1, "mask": 3, "aberration": 1}, tau=4)
    for step in range(60):
        terms = learn(network, network, batch, step, 60)
        history.append({name: float(term.detach()) for name, term in terms.items()})
        adam.zero_grad()
        sum(terms.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
    assert all(history[-1][name] < 0.5 * history[0][name] for name in history[0])
