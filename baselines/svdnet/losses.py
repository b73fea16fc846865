"""The losses of SVDNet as pure functions of tensors; the recipe of a training weighs them.

Which losses the paper uses is known from its abstract (a snow-aware contrastive one) and guessed
for the rest from the code of the same group; docs/baselines/svdnet.md tells which is which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rvsd_bench.baselines.precision import at_least_float32, full_precision
from rvsd_bench.baselines.svdnet.blocks import fold, unfold
from rvsd_bench.baselines.svdnet.flow import visible, warp
from rvsd_bench.baselines.svdnet.physics import scatter

TEMPERATURE = 0.07


def reconstruction(
    frame: Tensor, clean: Tensor, snow: Tensor, transmission: Tensor, light: Tensor
) -> Tensor:
    """Return the mean error of the snowy frame put together from its layers (eq. 1).

    The scene J is the true one: T cannot be told from S without this (all [B, T, ...]).
    """
    return (scatter(clean, snow, transmission, light) - frame).abs().mean()


def photometric_flow(
    clean: Tensor, flows: Tensor | None, pairs: Sequence[tuple[int, int]]
) -> Tensor | None:
    """Return how badly flows [B, P, 2, h, w] explain the clean frames [B, T, 3, H, W].

    Each pair (t, i) warps frame i to frame t at the flows' scale; the L1 error counts where the
    flow stays inside the frame. Clean frames, so that flakes teach no motion. None without flows.
    """
    if flows is None:
        return None
    height, width = flows.shape[-2:]
    small = unfold(F.adaptive_avg_pool2d(fold(clean), (height, width)), clean.shape[:2])
    reference = fold(small[:, [t for t, _ in pairs]])
    support = fold(small[:, [i for _, i in pairs]])
    flat = fold(flows)
    seen = visible(flat).to(clean.dtype)
    error = (warp(support, flat) - reference).abs().mean(1, keepdim=True)
    return (error * seen).sum() / seen.sum().clamp_min(1)


def snow_contrast(
    snow: Tensor,
    background: Tensor,
    videos: Sequence[int] | None = None,
    temperature: float = TEMPERATURE,
) -> Tensor | None:
    """Return the snow-aware contrastive loss (InfoNCE) of descriptors [B, T, E] of length 1.

    One video has one kind of snow and other videos have others (SemiVDN paper, section 2.4). The
    anchor is a frame's snow; other frames of its video are positives, each against all negatives:
    frames of other videos, and the backgrounds of its own clip. `videos` says which clips of the
    batch are from one video (each from its own unless given). With one video in the batch, or one
    frame of each, there is nothing to compare: None.
    """
    batch, length = snow.shape[:2]
    owner = torch.tensor(range(batch) if videos is None else list(videos), device=snow.device)
    of_frame = owner.repeat_interleave(length)
    same = of_frame[:, None] == of_frame[None]
    positive = same & ~torch.eye(len(of_frame), dtype=torch.bool, device=snow.device)
    if bool(same.all()) or not bool(positive.any()):
        return None
    clip = torch.arange(batch, device=snow.device).repeat_interleave(length)
    with full_precision(snow):
        flat = at_least_float32(snow).flatten(0, 1)
        around = at_least_float32(background).flatten(0, 1)
        # Nothing is compared with itself: masked before the logarithm, not after it.
        others = (flat @ flat.T / temperature).masked_fill(same, -math.inf)
        behind = (flat @ around.T / temperature).masked_fill(clip[:, None] != clip, -math.inf)
        negatives = torch.cat([others, behind], 1).logsumexp(1, keepdim=True)
        agreement = flat @ flat.T / temperature
        return (torch.logaddexp(agreement, negatives) - agreement)[positive].mean()


def mask_entropy(logits: Tensor, coverage: Tensor) -> Tensor:
    """Return the cross-entropy of the mask's logits [B, T, 1, h, w] with the snow's coverage.

    The coverage [B, T, 1, H, W] in [0, 1] is pooled by its maximum to the mask's scale: one flake
    makes a place snowy.
    """
    pooled = F.adaptive_max_pool2d(coverage.flatten(0, 1), logits.shape[-2:]).view_as(logits)
    return F.binary_cross_entropy_with_logits(logits, pooled)
