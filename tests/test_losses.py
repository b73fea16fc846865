"""Hold the losses that all networks share to formulas of other libraries, and to their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rvsd_bench.baselines import losses


def _pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_charbonnier_is_the_root_of_the_squared_error_with_a_round_bottom() -> None:
    restored, clean = _pictures(2, 3, 4, 4), _pictures(2, 3, 4, 4, seed=1)
    difference = (restored.double() - clean.double()).numpy()
    expected = np.sqrt(difference**2 + 1e-6).mean()
    assert float(losses.charbonnier(restored, clean)) == pytest.approx(expected, rel=1e-5)
    restored.requires_grad_()
    losses.charbonnier(restored, restored.detach()).backward()
    assert float(restored.grad.abs().max()) == 0


def test_inside_the_snow_each_pixel_counts_by_its_coverage() -> None:
    restored, clean = _pictures(2, 2, 3, 5, 6), _pictures(2, 2, 3, 5, 6, seed=1)
    coverage = _pictures(2, 2, 1, 5, 6, seed=2)
    d, z = ((restored - clean).double().numpy(), coverage.double().numpy())
    expected = np.average(np.sqrt(d**2 + 1e-6), weights=np.broadcast_to(z, d.shape))
    found = float(losses.charbonnier_inside(restored, clean, coverage))
    assert found == pytest.approx(expected, rel=1e-5)
    everywhere = losses.charbonnier_inside(restored, clean, torch.ones_like(coverage))
    assert float(everywhere) == pytest.approx(float(losses.charbonnier(restored, clean)), rel=1e-5)


def test_a_flake_weighs_the_same_inside_the_snow_however_large_the_frame_is() -> None:
    for side in (8, 64):
        clean, coverage = torch.zeros(1, 1, 3, side, side), torch.zeros(1, 1, 1, side, side)
        restored = clean.clone()
        coverage[..., 2:4, 2:4], restored[..., 2:4, 2:4] = 1, 0.5
        inside = float(losses.charbonnier_inside(restored, clean, coverage))
        assert inside == pytest.approx(0.5, rel=1e-4)
        assert float(losses.charbonnier(restored, clean)) < 0.5 * 4 / side**2 + 2e-3


def test_without_snow_nothing_is_lost_inside_it_and_gradients_are_finite() -> None:
    restored = _pictures(1, 1, 3, 4, 4).requires_grad_()
    found = losses.charbonnier_inside(
        restored, torch.zeros(1, 1, 3, 4, 4), torch.zeros(1, 1, 1, 4, 4)
    )
    found.backward()
    assert float(found.detach()) == 0 and float(restored.grad.abs().max()) == 0


def test_ten_decibels_below_forty_cost_one_in_each_window() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    clean, noise = _pictures(3, 2, 3, 9, 8), _pictures(3, 2, 3, 9, 8, seed=1) - 0.5
    restored = clean + noise * torch.tensor([0.1, 0.3, 1.0]).view(3, 1, 1, 1, 1)
    psnr = [
        metrics.peak_signal_noise_ratio(c.numpy(), r.numpy(), data_range=1)
        for c, r in zip(clean, restored)
    ]
    floored = [-10 * np.log10(10 ** (-value / 10) + 1e-4) for value in psnr]
    expected = (40 - np.mean(floored)) / 10
    assert float(losses.decibels(restored, clean)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.decibels(clean, clean)) == pytest.approx(0, abs=1e-6)


def test_decibels_inside_the_snow_are_those_of_covered_pixels_alone() -> None:
    clean, coverage = torch.zeros(1, 1, 3, 40, 40), torch.zeros(1, 1, 1, 40, 40)
    coverage[..., :20, :], coverage[..., 20:, :] = 0.5, 0.05
    wrong, elsewhere = clean.clone(), clean.clone()
    wrong[..., :20, :], elsewhere[..., 20:, :] = 0.1, 0.9
    assert float(losses.decibels(elsewhere, clean, coverage)) == pytest.approx(0, abs=1e-6)
    found = float(losses.decibels(wrong, clean, coverage))
    assert found == pytest.approx(2, abs=0.03)  # 20 dB, but for the few values of the floor


def test_decibels_of_what_is_right_have_finite_gradients() -> None:
    restored = _pictures(2, 1, 3, 4, 4).requires_grad_()
    nothing = torch.zeros(2, 1, 1, 4, 4)
    total = losses.decibels(restored, restored.detach()) + losses.decibels(
        restored, torch.zeros_like(restored), nothing
    )
    total.backward()
    assert bool(restored.grad.isfinite().all())


def test_edges_see_what_is_left_of_a_flake_and_no_shade_that_is_wrong_all_over() -> None:
    clean = _pictures(1, 1, 3, 6, 7)
    assert float(losses.edges(clean + 0.25, clean)) == pytest.approx(0, abs=1e-6)
    error = np.random.default_rng(0).random((6, 7))
    expected = np.abs(np.diff(error, axis=0)).mean() + np.abs(np.diff(error, axis=1)).mean()
    found = losses.edges(clean + torch.from_numpy(error).float(), clean)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_focal_frequency_loss_of_equal_pictures_is_zero_with_finite_gradients() -> None:
    picture = _pictures(2, 3, 8, 8).requires_grad_()
    loss = losses.focal_frequency(picture, picture.detach().clone())
    loss.backward()
    assert float(loss.detach()) == 0
    assert picture.grad is not None and bool(picture.grad.isfinite().all())


def test_the_focal_frequency_loss_is_symmetric() -> None:
    one, two = _pictures(1, 3, 8, 10), _pictures(1, 3, 8, 10, seed=1)
    there, back = losses.focal_frequency(one, two), losses.focal_frequency(two, one)
    assert float(there) == pytest.approx(float(back), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_the_focal_frequency_loss_is_numpys(alpha: float) -> None:
    one, two = _pictures(2, 3, 6, 9), _pictures(2, 3, 6, 9, seed=1)
    apart = np.abs(np.fft.fft2((one - two).double().numpy(), norm="ortho"))
    weight = apart**alpha / (apart**alpha).max(axis=(-2, -1), keepdims=True)
    expected = float((weight * apart**2).mean())
    assert float(losses.focal_frequency(one, two, alpha)) == pytest.approx(expected, rel=1e-5)


def test_without_weights_the_focal_frequency_loss_is_the_squared_error() -> None:
    """Parseval: orthonormal transforms keep the energy."""
    one, two = _pictures(1, 1, 7, 5), _pictures(1, 1, 7, 5, seed=1)
    expected = float((one - two).square().mean())
    assert float(losses.focal_frequency(one, two, 0.0)) == pytest.approx(expected, rel=1e-5)


def test_no_gradient_flows_through_the_focal_weights() -> None:
    one, two = _pictures(1, 1, 4, 4).requires_grad_(), _pictures(1, 1, 4, 4, seed=1)
    losses.focal_frequency(one, two).backward()
    spectrum = torch.fft.fft2((one - two).detach(), norm="ortho")
    weight = spectrum.abs() / spectrum.abs().max()
    expected = 2 / 16 * torch.fft.ifft2(weight * spectrum, norm="ortho").real
    assert one.grad is not None and torch.allclose(one.grad, expected, atol=1e-6)
