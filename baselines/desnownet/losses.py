"""Measure what DesnowNet is trained by: the pyramid loss of equation 7, and what it compares."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rvsd_bench.errors import InputError

Reduction = Literal["sum_per_sample", "mean"]

TAU, LAMBDA_W = 6, 5e-4
"""Last level of the pyramid, weight of ||w||². The text that we have does not state them. They are
those of published code; 2^6 is the side of its crops, so that the last level is a single pixel."""


def pyramid_loss(
    estimate: Tensor, truth: Tensor, tau: int = TAU, reduction: Reduction = "sum_per_sample"
) -> Tensor:
    """Return the sum over i = 0 ... tau of ||P(m) - P(m̂)||² with P = P_{2^i} (equation 7).

    `estimate` and `truth` are [..., C, H, W]; P_k takes the maximum over squares of side k that do
    not overlap, so that level 0 is the squared error. The paper's sum is divided by the number of
    pictures (`sum_per_sample`, which its learning rate is made for); `mean` divides each level by
    the number of its values. Raises InputError for pictures smaller than 2^tau.
    """
    if estimate.shape != truth.shape:
        raise InputError(f"the loss compares {list(estimate.shape)} with {list(truth.shape)}")
    if min(truth.shape[-2:]) < 2**tau:
        height, width = truth.shape[-2:]
        raise InputError(
            f"a pyramid loss up to level {tau} needs crops of at least {2**tau} pixels a side, got "
            f"{width}x{height}: enlarge the crop or lower tau"
        )
    ours, theirs = (t.reshape(-1, *t.shape[-3:]) for t in (estimate, truth))
    total = estimate.new_zeros(())
    for level in range(tau + 1):
        if level:  # the maximum over a square is that over the maxima of its quarters
            ours, theirs = F.max_pool2d(ours, 2), F.max_pool2d(theirs, 2)
        squares = (ours - theirs).square()
        total = total + (squares.mean() if reduction == "mean" else squares.sum() / len(squares))
    return total


def adam_weight_decay(lambda_w: float = LAMBDA_W) -> float:
    """Return the `weight_decay` of torch's Adam that acts as lambda_w ||w||² in equation 8.

    Adam adds weight_decay · w to the gradient; the term's own gradient is 2 lambda_w · w.
    """
    return 2 * lambda_w


@torch.no_grad()
def pseudo_mask(snowy: Tensor, clean: Tensor) -> Tensor:
    """Return a mask for pairs without one: the least over RGB of (x - y) / (1 - y + 0.05).

    Pictures are [..., 3, H, W] in [0, 1], the mask is [..., 1, H, W]. For white snow (a = 1)
    equation 1 gives z = (x - y) / (1 - y); the 0.05 keeps noise in bright skies small. Haze counts
    as snow where there is any. Ours, not the paper's, whose data have masks.
    """
    share = (snowy - clean) / (1 - clean + 0.05)
    return share.amin(dim=-3, keepdim=True).clamp(0, 1)


def snow_light(snowy: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    """Return the true a·z of equation 1, x - y·(1 - z), cut to where a is a colour.

    Pictures are [..., 3, H, W] in [0, 1], the mask z [..., 1, H, W]. Where there is haze it is in x
    and not in y, and would make an a above 1. Nothing is divided by a small z.
    """
    return (snowy - clean * (1 - mask)).clamp_min(0).minimum(mask)
