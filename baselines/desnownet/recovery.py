"""Solve the formation model for the scene, with gradients that stay finite (equation 5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rvsd_bench.baselines.precision import at_least_float32, full_precision


def recover(snowy: Tensor, aberration: Tensor, mask: Tensor, eps: float) -> Tensor:
    """Return y' = (x - a·z) / (1 - z) where z < 1, and x where z = 1 (equation 5), in float32.

    `snowy` x and `aberration` a are [..., 3, H, W], `mask` z is [..., 1, H, W] in [0, 1]. No
    divisor is below `eps`, hence |dy'/dz| <= max(|x - a| / eps², |a| / eps). The divisor is made
    safe before the choice between the two cases: chosen afterwards, the derivative of the case not
    taken would be 0 · inf, which is NaN.
    """
    with full_precision(snowy):
        x, a, z = (at_least_float32(t) for t in (snowy, aberration, mask))
        return torch.where(z < 1, (x - a * z) / (1 - z).clamp_min(eps), x)


def clamp_inwards(values: Tensor) -> Tensor:
    """Cut to [0, 1]; the gradient passes wherever a step along it leads back inside.

    A plain clamp has no gradient outside the interval: what has left it never returns.
    """
    clamped: Tensor = _ClampInwards.apply(values)
    return clamped


class _ClampInwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        (gradient,) = gradients
        # Descent moves against the gradient: outwards below 0 where it is positive.
        outwards = ((values < 0) & (gradient > 0)) | ((values > 1) & (gradient < 0))
        return gradient.masked_fill(outwards, 0)
