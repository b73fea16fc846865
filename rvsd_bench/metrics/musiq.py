"""MUSIQ in little memory: pyiqa's network, tensor by tensor, with its own way through it.

pyiqa holds every patch's features at once and attention matrices of all patches against all, some
gigabytes for a frame of 3840 x 2160. Here the patches are embedded row by row, and attention is
computed without the matrices, so that memory grows with the frame's area. Values are pyiqa's.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pyiqa.archs.musiq_arch import MUSIQ, MultiHeadAttention
from torch.nn import functional as F

PATCH = 32
"""The side of a patch in pixels; each is one token."""
LONGER_SIDES = (224, 384)
"""The lengths to which the longer side is brought, beside the frame as it is."""
_GRID = 10  # positions are told apart on a grid of 10 x 10


class Musiq(MUSIQ):  # type: ignore[misc]
    """MUSIQ with random weights for KonIQ-10k: maps [1, 3, H, W] in [0, 1] to [1, 1]."""

    def __init__(self) -> None:
        super().__init__(pretrained=False, num_class=1)
        for block in self.transformer_encoder.transformer.values():
            known = block.attention
            block.attention = _Attention(known.query.in_features, known.num_heads, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the score of a frame, seen at three sizes."""
        parts = [self._tokens(view, scale) for scale, view in enumerate(views((x - 0.5).mul_(2)))]
        tokens, places, scales = (torch.cat(part).unsqueeze(0) for part in zip(*parts))
        real = torch.ones(places.shape, dtype=torch.bool, device=x.device)
        encoded = self.transformer_encoder(tokens, places, scales, real)
        score: torch.Tensor = self.head(encoded[:, 0])
        return score

    def _tokens(self, view: torch.Tensor, scale: int) -> tuple[torch.Tensor, ...]:
        """Return the embedded patches [n, width] of one view, their places and their scale [n]."""
        tokens = torch.cat([self._embed(row) for row in rows_of_patches(view)])
        places = grid_places(*(-(-length // PATCH) for length in view.shape[2:])).to(view.device)
        return tokens, places, torch.full_like(places, scale)

    def _embed(self, patches: torch.Tensor) -> torch.Tensor:
        features = self.root_pool(self.gn_root(self.conv_root(patches)))
        features = self.block1(features).permute(0, 2, 3, 1)  # the order of the original's channels
        embedded: torch.Tensor = self.embedding(features.flatten(1))
        return embedded


class _Attention(MultiHeadAttention):  # type: ignore[misc]
    """Attention of all tokens, none of them masked, without the matrix of n x n."""

    def forward(self, x: torch.Tensor, mask: object = None) -> torch.Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        attended: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended


def views(x: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield a frame [1, 3, H, W] at each of `LONGER_SIDES` (bicubic, no antialiasing), then whole.

    Without antialiasing a large frame is sampled, not averaged: that is what the weights know.
    """
    longest = max(x.shape[2:])
    for side in LONGER_SIDES:
        size = [max(1, round(length * (side / longest))) for length in x.shape[2:]]
        yield F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=False)
    yield x


def rows_of_patches(view: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield each row of patches as [n, 3, 32, 32]; the view is padded evenly with zeros."""
    height = view.shape[2]
    (top, _), (left, right) = (_padding(length) for length in view.shape[2:])
    for start in range(-top, height, PATCH):
        band = view[0, :, max(start, 0) : start + PATCH]
        above, below = max(-start, 0), max(start + PATCH - height, 0)
        padded = F.pad(band, (left, right, above, below))
        yield padded.unfold(2, PATCH, PATCH).permute(2, 0, 1, 3)


def _padding(length: int) -> tuple[int, int]:
    lacking = -length % PATCH
    return lacking // 2, lacking - lacking // 2


def grid_places(rows: int, columns: int) -> torch.Tensor:
    """Return the place of each patch on the grid of 10 x 10 that is laid over any frame: [n]."""
    grid = torch.arange(_GRID, dtype=torch.float32).reshape(1, 1, _GRID)
    down, across = (F.interpolate(grid, n, mode="nearest").flatten() for n in (rows, columns))
    return (down[:, None] * _GRID + across).flatten().long()
