"""Which frames look at which, and how a neighbour appears where the frame itself is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rvsd_bench.baselines.svdnet.blocks import fold, unfold
from rvsd_bench.baselines.svdnet.flow import visible, warp

Pairs = Sequence[tuple[int, int]]


def pairs_within(reach: int, length: int, keep: Sequence[int]) -> list[tuple[int, int]]:
    """List the frames `keep` of a clip with each frame they look at, themselves among them."""
    return [(t, i) for t in keep for i in range(max(0, t - reach), min(length, t + reach + 1))]


def moving(pairs: Pairs) -> list[tuple[int, int]]:
    """List the pairs of two different frames: those between which something may move."""
    return [pair for pair in pairs if pair[0] != pair[1]]


def align(codes: Tensor, pairs: Pairs, flows: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the support frame of each pair as its reference sees it, and where it sees it.

    `codes` is [B, T, C, h, w], `flows` [B, P', 2, h, w] of the moving pairs, or None where nothing
    is to be moved; the answers are [B, P, C, h, w] and, bool, [B, P, 1, h, w]. A frame is its own
    neighbour as it is.
    """
    gathered = codes[:, [i for _, i in pairs]]
    seen = torch.ones_like(gathered[:, :, :1], dtype=torch.bool)
    if flows is None:
        return gathered, seen
    places = torch.tensor([n for n, (t, i) in enumerate(pairs) if t != i], device=codes.device)
    flat, shape = fold(flows), flows.shape[:2]
    warped = unfold(warp(fold(gathered[:, places]), flat), shape).to(gathered.dtype)
    seen = seen.index_copy(1, places, unfold(visible(flat), shape))
    return gathered.index_copy(1, places, warped), seen


def blend(fine: Tensor, weights: Tensor) -> Tensor:
    """Blend details [B, P, C, H, W] by weights [B, P, 1, h, w] that were found at a coarser scale.

    Bilinear enlargement keeps what matters of the weights: at every pixel they add up to 1.
    """
    larger = F.interpolate(fold(weights), size=fine.shape[-2:], mode="bilinear")
    return (fine * unfold(larger, weights.shape[:2])).sum(1)
