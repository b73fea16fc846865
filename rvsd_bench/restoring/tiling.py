"""Run a model on one window of any size: pad it, cut it into tiles, refuse impossible answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.errors import InputError, RvsdBenchError

if TYPE_CHECKING:
    from torch import Tensor

WILD = 10.0
"""Values beyond this are no overshoot of [0, 1]: the model answers on another scale."""


def require_tiles(info: ModelInfo, tile: int | None, overlap: int) -> None:
    """Raise InputError for tiles that overlap as far as they reach, or that a model cuts itself."""
    if tile is None:
        return
    if info.tiling == "internal":
        raise InputError(f"model {info.name!r} cuts its own tiles; leave out --tile")
    if not 0 <= overlap < tile:
        raise InputError(f"tiles of {tile} px cannot overlap by {overlap} px")


def run_padded(model: VideoRestorer, clip: Tensor, tile: int | None, overlap: int) -> Tensor:
    """Restore a clip [1, T, 3, H, W] of any size, whole or in tiles of about `tile` pixels a side.

    The clip is padded to a legal size below and on the right, by reflection or, where it is too
    small for that, by its edge, and cropped afterwards. Tiles are blended in float32. Raises
    InputError naming the model if it fails or answers with a wrong shape, values that are not
    finite, or values far from [0, 1].
    """
    import torch

    height, width = clip.shape[-2:]
    padded = _pad(clip, model.info)
    if tile is None:
        return _call(model, padded)[..., :height, :width]
    info = model.info
    overlap = _up(overlap, info.multiple)
    tile = _up(max(tile, info.min_size, overlap + 1), info.multiple)
    total, weights = torch.zeros_like(padded), torch.zeros_like(padded[0, 0, 0])
    for rows, up in _cuts(padded.shape[-2], tile, overlap):
        for columns, across in _cuts(padded.shape[-1], tile, overlap):
            weight = torch.outer(torch.from_numpy(up), torch.from_numpy(across)).to(clip.device)
            total[..., rows, columns] += _call(model, padded[..., rows, columns]) * weight
            weights[rows, columns] += weight
    return (total / weights)[..., :height, :width]


def _pad(clip: Tensor, info: ModelInfo) -> Tensor:
    """Pad below and on the right to the sizes a model takes."""
    from torch.nn.functional import pad

    padded = clip.flatten(0, 1)
    for axis in (-1, -2):
        size = clip.shape[axis]
        more = _up(max(size, info.min_size), info.multiple) - size
        if more:
            edges = (0, more, 0, 0) if axis == -1 else (0, 0, 0, more)
            padded = pad(padded, edges, mode="reflect" if more < size else "replicate")
    return padded.reshape(*clip.shape[:2], *padded.shape[1:])


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


def _call(model: VideoRestorer, clip: Tensor) -> Tensor:
    """Run a model on one legal clip and refuse an answer that cannot be one."""
    import torch

    name, shape = model.info.name, list(clip.shape)
    try:
        restored = model(clip).float()
    except RvsdBenchError:
        raise
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"model {name!r} ran out of memory on a clip of shape {shape}; use smaller --tile"
        ) from error
    except Exception as error:  # a stranger's network may raise anything
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"model {name!r} failed on a clip of shape {shape}: {problem}") from error
    if list(restored.shape) != shape:
        raise InputError(f"model {name!r} returned {list(restored.shape)} for {shape}")
    low, high = (float(value) for value in restored.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"model {name!r} returned values that are not finite (NaN or infinity)")
    if max(-low, high) > WILD:
        raise InputError(
            f"model {name!r} returned values from {low:.4g} to {high:.4g}; they must lie in [0, 1]"
        )
    return restored
