"""Pad frames to legal sizes, cut them into tiles that overlap, and put the answers together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def require_tiles(info: ModelInfo, tile: int | None, overlap: int) -> None:
    """Raise InputError for tiles that overlap as far as they reach, or that a model cuts itself."""
    if not tile:
        return
    if info.tiling == "internal":
        raise InputError(f"model {info.name!r} cuts its own tiles; leave out --tile")
    if not 0 <= overlap < tile:
        raise InputError(f"tiles of {tile} px cannot overlap by {overlap} px")


@dataclass(frozen=True)
class Tile:
    """A part of the padded frame, and the weight of each of its rows and columns (float32)."""

    rows: slice
    columns: slice
    up: NDArray[np.float32]
    across: NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """How frames of one size reach a model: padded below and on the right, and in tiles."""

    size: tuple[int, int]
    """Height and width of the frames."""
    padded: tuple[int, int]
    tiles: tuple[Tile, ...]
    """One tile that covers all of the padded frame, or several that overlap."""

    def pad(self, frame: Tensor) -> Tensor:
        """Pad a frame [3, H, W] by reflection, or by its edge where it is too small for that."""
        from torch.nn.functional import pad

        padded = frame[None]
        for axis in (-1, -2):
            size = frame.shape[axis]
            more = self.padded[axis] - size
            if more:
                edges = (0, more, 0, 0) if axis == -1 else (0, 0, 0, more)
                padded = pad(padded, edges, mode="reflect" if more < size else "replicate")
        return padded[0]

    def join(self, answers: Iterable[Tensor]) -> Tensor:
        """Blend answers [..., h, w], one for each tile, in float32 and cut the padding off.

        No more than one answer at a time is held beside their sum.
        """
        import torch

        height, width = self.size
        if len(self.tiles) == 1:
            (answer,) = answers
            return answer[..., :height, :width]
        total, weights = None, None
        for tile, answer in zip(self.tiles, answers, strict=True):
            weight = torch.outer(torch.from_numpy(tile.up), torch.from_numpy(tile.across))
            weight = weight.to(answer.device)
            if total is None or weights is None:
                total = answer.new_zeros(*answer.shape[:-2], *self.padded)
                weights = answer.new_zeros(self.padded)
            total[..., tile.rows, tile.columns] += answer * weight
            weights[tile.rows, tile.columns] += weight
        assert total is not None and weights is not None
        return (total / weights)[..., :height, :width]


def plan_grid(size: tuple[int, int], info: ModelInfo, tile: int | None, overlap: int) -> Grid:
    """Plan how frames of `size` (height, width) reach a model.

    Tiles have about `tile` pixels a side (None or 0: one tile), rounded up to what the model
    takes; neighbours share `overlap` pixels at least.
    """
    height, width = (_up(max(length, info.min_size), info.multiple) for length in size)
    if not tile:
        side = overlap = max(height, width)
    else:
        overlap = _up(overlap, info.multiple)
        side = _up(max(tile, info.min_size, overlap + 1), info.multiple)
    tiles = tuple(
        Tile(rows, columns, up, across)
        for rows, up in _cuts(height, side, overlap)
        for columns, across in _cuts(width, side, overlap)
    )
    return Grid(size, (height, width), tiles)


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _cuts(length: int, tile: int, overlap: int) -> list[tuple[slice, NDArray[np.float32]]]:
    """Cut one axis into tiles and give the weight of each pixel in its tile.

    Weights rise linearly over the overlap but stay zero on its outer quarter, where a network
    sees the cut edge of its tile. Two neighbours that overlap as planned sum to one.
    """
    if length <= tile:
        return [(slice(0, length), np.ones(length, np.float32))]
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    margin = overlap // 4
    ramp = (np.arange(overlap) - margin + 1) / (overlap - 2 * margin + 1)
    ramp = np.clip(ramp, 0, 1).astype(np.float32)
    cuts = []
    for start in starts:
        weight = np.ones(tile, np.float32)
        if start > 0:
            weight[:overlap] = ramp
        if start < length - tile:
            weight[tile - overlap :] *= ramp[::-1]
        cuts.append((slice(start, start + tile), weight))
    return cuts
