"""Measure how far restored frames are from clean ones: losses that any network may learn from."""

from __future__ import annotations

import torch
from torch import Tensor

from rvsd_bench.baselines.precision import at_least_float32, full_precision
from rvsd_bench.training.batches import FeatureExtractor

EPS = 1e-6
LEAST_ERROR = 1e-4
"""A mean squared error that is as good as none: 40 dB."""
COVERED, FEW = 0.1, 100
"""The least coverage of what counts as snow, and the values below which a window has little."""


def charbonnier(restored: Tensor, clean: Tensor, eps: float = EPS) -> Tensor:
    """Return the mean of sqrt(d² + eps) over all differences: L1 with a round bottom."""
    return torch.sqrt((restored - clean) ** 2 + eps).mean()


def charbonnier_inside(
    restored: Tensor, clean: Tensor, coverage: Tensor, eps: float = EPS
) -> Tensor:
    """Return the mean of sqrt(d² + eps) over the snow alone, each pixel by its coverage.

    Frames are [..., 3, H, W], the coverage z is [..., 1, H, W] in [0, 1]. Snow covers a few per
    cent of a frame: in a mean over all pixels, to leave a faint flake costs next to nothing, and
    taking one away at the wrong place costs as much. Zero where it does not snow.
    """
    errors = torch.sqrt((restored - clean) ** 2 + eps).mean(-3, keepdim=True)
    return (errors * coverage).sum() / coverage.sum().clamp_min(1)


def decibels(restored: Tensor, clean: Tensor, coverage: Tensor | None = None) -> Tensor:
    """Return how far the PSNR of each window is below 40 dB, in tens of dB, a mean over windows.

    4 + log10(mean squared error + 1e-4) for windows [B, T, 3, H, W]: 0 where nothing is wrong. A
    window with little wrong counts as much as one with much, as it does in a mean of PSNRs. With
    the `coverage` z [B, T, 1, H, W], only of what snow covers by more than a tenth; a few covered
    pixels count little.
    """
    squares, axes = (restored - clean).square(), (1, 2, 3, 4)
    if coverage is None:
        return 4 + torch.log10(squares.mean(axes) + LEAST_ERROR).mean()
    snowy = (coverage > COVERED).to(squares.dtype)
    errors = (squares * snowy).sum(axes) / (squares.shape[2] * snowy.sum(axes) + FEW)
    return 4 + torch.log10(errors + LEAST_ERROR).mean()


def edges(restored: Tensor, clean: Tensor) -> Tensor:
    """Return the mean |error of the difference of neighbours|, down plus across, of [..., H, W].

    What is left of a flake has an outline that the scene has not, however faint it is; a shade
    that is wrong all over costs nothing here.
    """
    return total_variation(restored - clean)


def total_variation(pictures: Tensor) -> Tensor:
    """Return the mean |difference| of neighbours, down plus across of pictures [..., H, W].

    The anisotropic form: our choice for L_TV of equation 9 of the SemiVDN paper too.
    """
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean()
    across = (pictures[..., :, 1:] - pictures[..., :, :-1]).abs().mean()
    return down + across


def focal_frequency(restored: Tensor, clean: Tensor, alpha: float = 1.0) -> Tensor:
    """Return the focal frequency loss of pictures [..., H, W].

    Mean over frequencies of w·|F(restored) - F(clean)|², with orthonormal transforms and
    w = |F(restored) - F(clean)|^alpha over its maximum in the picture and channel, through which no
    gradient flows. Jiang et al., "Focal Frequency Loss", ICCV 2021. In float32 at least.
    """
    with full_precision(restored):
        apart = torch.fft.fft2(at_least_float32(restored) - at_least_float32(clean), norm="ortho")
        squared: Tensor = apart.real.square() + apart.imag.square()
        weight = squared.detach() ** (alpha / 2)
        # Equal pictures have no largest difference to divide by: their weights are 0.
        largest = weight.amax(dim=(-2, -1), keepdim=True)
        weighted: Tensor = weight / largest.where(largest > 0, 1) * squared
        return weighted.mean()


def perceptual(features: FeatureExtractor, restored: Tensor, clean: Tensor) -> Tensor:
    """Return the mean over layers of the mean squared difference of features of clips.

    Clips are [B, T, 3, H, W]. Johnson et al. 2016, and equation 8 of the SemiVDN paper, which names
    the layers; the squares are our choice. In float32 at least.
    """
    with torch.no_grad():
        wanted = features(clean.flatten(0, 1))
    errors = [
        (at_least_float32(one) - at_least_float32(other)).square().mean()
        for one, other in zip(features(restored.flatten(0, 1)), wanted, strict=True)
    ]
    return torch.stack(errors).mean()
