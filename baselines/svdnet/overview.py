"""See the haze of a whole frame at a glance: T and A are wide, and a crop shows too little of them.

Inferred, and only in small presets: how far away things are is told by where they are in the
picture, and how thick the air is by what is grey where. Some forty rows of pixels show both.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvsd_bench.baselines.svdnet.blocks import ResidualBlock, conv, leaky


class Haze(NamedTuple):
    """What is seen of the air in pictures [B, 3, h, w]."""

    features: Tensor
    """[B, C/2, h, w]."""
    logits: Tensor
    """[B, 1, h, w], of T."""
    light: Tensor
    """[B, 3], the logits of A."""


class Overview(nn.Module):
    """A small pyramid over the shrunken frame: two halvings, and the mean and largest of all.

    Where haze is thickest the picture shows the light of the air itself: A is the colour there, and
    what is learned is where to look. Learned from features alone it stays the mean of all A.
    """

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        wide, fine = channels, channels // 2
        self.stem = nn.Sequential(conv(5, fine), leaky(), ResidualBlock(fine, gain))
        self.middle = nn.Sequential(conv(fine, wide, stride=2), leaky(), ResidualBlock(wide, gain))
        self.deep = nn.Sequential(
            *(conv(wide, wide, stride=2), leaky()),
            *(ResidualBlock(wide, gain), ResidualBlock(wide, gain)),
        )
        self.whole = nn.Linear(2 * wide, wide)
        self.back = nn.Sequential(conv(2 * wide, wide), leaky(), ResidualBlock(wide, gain))
        self.merge = nn.Sequential(conv(wide + fine, fine), leaky(), ResidualBlock(fine, gain))
        self.transmission = conv(fine, 1)
        self.thickest = conv(fine, 1)
        self.light = nn.Linear(2 * wide, 3)

    def forward(self, picture: Tensor) -> Haze:
        """Return the haze of pictures [B, 3, h, w] in [0, 1]."""
        stem = self.stem(torch.cat([picture, _height(picture)], 1))
        middle = self.middle(stem)
        deep = self.deep(middle)
        deep = deep + self.whole(_summary(deep))[..., None, None]
        back = self.back(torch.cat([middle, _enlarged(deep, middle)], 1))
        features = self.merge(torch.cat([stem, _enlarged(back, stem)], 1))
        seen = _blended(picture, self.thickest(features))
        light = torch.logit(seen, eps=0.02) + self.light(_summary(deep))
        return Haze(features, self.transmission(features), light)


def shrunk(clip: Tensor, rows: int) -> Tensor:
    """Return the mean frame of clips [B, T, 3, H, W], its shorter side `rows` pixels at most."""
    height, width = clip.shape[-2:]
    scale = min(1.0, rows / min(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.adaptive_avg_pool2d(clip.mean(1), size)


def spread(maps: Tensor, place: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Return the part of maps [B, C, h, w] at `place`, bilinearly as [B, C, *size].

    `place` [B, 4] is the part's top, left, height and width in shares of the whole; None is all.
    """
    if place is None:
        place = maps.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(len(maps), 4)
    top, left, height, width = place.to(torch.float32).unbind(1)
    none = torch.zeros_like(top)
    across = torch.stack([width, none, 2 * left + width - 1], 1)
    down = torch.stack([none, height, 2 * top + height - 1], 1)
    grid = F.affine_grid(torch.stack([across, down], 1), [len(maps), 1, *size], align_corners=False)
    return F.grid_sample(
        maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _height(picture: Tensor) -> Tensor:
    """Return how high up each pixel is, and its square, [B, 2, h, w]: the sky is above."""
    rows = (torch.arange(picture.shape[-2], device=picture.device) + 0.5) / picture.shape[-2] - 0.5
    rows = rows.to(picture.dtype)[:, None].expand(picture.shape[-2:])
    return torch.stack([rows, rows.square()]).expand(len(picture), -1, -1, -1)


def _summary(features: Tensor) -> Tensor:
    """Return the mean and the largest of each feature, [B, 2C]."""
    return torch.cat([features.mean((-2, -1)), features.amax((-2, -1))], 1)


def _blended(picture: Tensor, scores: Tensor) -> Tensor:
    """Return the mean colour [B, 3] of pictures, weighed by the softmax of scores [B, 1, h, w]."""
    weights = scores.float().flatten(2).softmax(-1)
    return (picture.float().flatten(2) * weights).sum(-1)


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)
