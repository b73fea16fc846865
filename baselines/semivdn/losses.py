"""The losses that only SemiVDN has (sections 3.3 and 3.4), as functions of tensors.

What the paper leaves to its supplement, which we have not seen, is said at each. The networks that
measure pictures (a VGG-16) are the trainer's: these functions are given features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rvsd_bench.errors import InputError
from rvsd_bench.mixtures import Mixture, fit_mixture

GAUSSIANS = 3
"""K of equation 11 (section 4.2)."""
CONTRAST_WEIGHTS = (1 / 8, 1 / 4, 1.0)
"""Of the three VGG-16 layers of L_perceptual, from fine to coarse; growing as in AECR-Net."""


def dark_channel_prior(restored: Tensor, patch: int = 15) -> Tensor:
    """Return the mean of the dark channel of pictures [..., 3, H, W] (L_DCP of equation 9).

    The dark channel is the least value of any channel in the patch around a pixel (He et al. 2009,
    equation 5; their patch of 15). Snow on the ground breaks the prior.
    """
    darkest = restored.amin(dim=-3).reshape(-1, 1, *restored.shape[-2:])
    return -F.max_pool2d(-darkest, patch, stride=1, padding=patch // 2).mean()


def warm_up(step: int, steps: int, largest: float = 1.0) -> float:
    """Return mu(r) = mu_max·exp(-5·(1 - r/r_max)²), the weight of L_un (equation 10).

    The paper does not state mu_max; from r_max on, mu stays at it.
    """
    return largest * math.exp(-5 * (1 - min(step, steps) / steps) ** 2)


def perceptual_contrast(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    degraded: Sequence[Tensor],
    weights: Sequence[float] = CONTRAST_WEIGHTS,
    eps: float = 1e-7,
) -> Tensor:
    """Return L_cl of equation 9: near the teacher's features, far from the degraded input's.

    The sum over layers of w·|student - teacher|/(|student - degraded| + eps), L1 means, as in
    AECR-Net (Wu et al., CVPR 2021). The student is the anchor; neither of the others gets a
    gradient.
    """
    if not len(student) == len(teacher) == len(degraded) == len(weights):
        raise InputError("a contrast needs as many weights as layers of features on each side")
    ratios = [
        weight * F.l1_loss(anchor, positive.detach()) / (F.l1_loss(anchor, negative.detach()) + eps)
        for anchor, positive, negative, weight in zip(student, teacher, degraded, weights)
    ]
    return torch.stack(ratios).sum()


def distribution_contrast(
    *,
    teacher_background: Tensor,
    student_background: Tensor,
    student_snow: Tensor,
    labelled_background: Tensor,
    ultra_snow: Tensor,
    augmented_snow: Tensor,
    least: float = 1e-3,
    eps: float = 1e-7,
) -> Tensor:
    """Return L_DCR (equation 12), over features F_B' and F_S' of one shape.

    |anchor - positive|/(|anchor - negative| + eps), L1 means, with

        anchor = U_B^T + U_Snow^S, positive = U_B^S + G^_Ultra^S, negative = G_B^S + Aug(U_Snow^T).

    `teacher_background`, `student_background`, `student_snow` and `augmented_snow` (the teacher's)
    are of unlabelled frames, `labelled_background` and `ultra_snow` of labelled ones. The text
    around the equation calls the anchor a negative; we follow the equation. `least` bounds the
    denominator: before training no snow is found, and the two sides may coincide. Teacher,
    ultra-positive and augmented features get no gradient.
    """
    anchor = teacher_background.detach() + student_snow
    near = F.l1_loss(anchor, student_background + ultra_snow.detach())
    far = F.l1_loss(anchor, labelled_background + augmented_snow.detach())
    return near / (far.clamp_min(least) + eps)


def snow_magnitude(snow: Tensor, count: int = 4096) -> NDArray[np.float64]:
    """Return |F_S'| of a clip, [T, f, H, W], averaged over channels at `count` even pixels, [n, 1].

    What the distribution of equation 11 is over, the paper does not say.
    """
    values = snow.detach().abs().mean(dim=-3).flatten().double().cpu().numpy()
    return np.asarray(values[:: max(1, len(values) // count)][:count, None])


def fit_snow(magnitudes: NDArray[np.float64]) -> Mixture:
    """Fit the Gaussian mixture of equation 11 to magnitudes [n, 1]; the same ones, the same fit."""
    return fit_mixture(magnitudes, GAUSSIANS, ("semivdn", "snow"), restarts=1, floor=1e-4)


def divergence(p: Mixture, q: Mixture, points: int = 512) -> float:
    """Return KL(p || q) of mixtures of one dimension, in nats.

    Mixtures have no closed form; in one dimension a sum over an even grid, 5 standard deviations
    around all Gaussians of both, is exact enough and the same each time.
    """
    edges = [m.means.ravel() + k * np.sqrt(m.covariances.ravel()) for m in (p, q) for k in (-5, 5)]
    grid = np.linspace(np.min(edges), np.max(edges), points)[:, None]
    log_p, log_q = p.log_density(grid), q.log_density(grid)
    return float(np.sum(np.exp(log_p) * (log_p - log_q)) * (grid[1, 0] - grid[0, 0]))


def ultra_positive(real: Mixture, synthetic: Sequence[Mixture]) -> int:
    """Return which synthetic snow is most like the real one: the least KL(real || synthetic)."""
    if not synthetic:
        raise InputError("there is no synthetic snow to choose from")
    return int(np.argmin([divergence(real, candidate) for candidate in synthetic]))
