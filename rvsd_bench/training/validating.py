"""Look at a network on clips that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rvsd_bench.baselines.affine import AffineMap, fit_affine
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.clip import Frame
from rvsd_bench.training.batches import Batch
from rvsd_bench.training.stepping import autocast, evaluating

Window = tuple[Tensor, Tensor]
"""A held-out window (snowy, clean), each [T, 3, H, W] in [0, 1]."""
ALIKE = 80.0
"""The PSNR of equal frames, as the metric has it."""


@dataclass(frozen=True)
class View:
    """The middle frame of a window, [3, H, W] in [0, 1], and what the network says of it."""

    snowy: Tensor
    restored: Tensor
    clean: Tensor
    layers: dict[str, Tensor]
    """S, T, A and the mask z, those of them that the network has, each [C, H, W]."""


@dataclass(frozen=True)
class Verdict:
    """The mean PSNR over the windows' middle frames, in dB, and that of what learns nothing."""

    psnr: float
    psnr_input: float
    psnr_affine: float
    """Of one gain and offset per channel, fitted to the first batches of the training."""
    views: tuple[View, ...]


def validate(
    network: nn.Module, windows: Sequence[Window], fitted: AffineMap, precision: str
) -> Verdict:
    """Restore the middle frame of each window and compare it with the truth.

    Frames are rounded to 8 bits first, as the evaluator does.
    """
    with evaluating(network):
        views = tuple(_view(network, *window, precision) for window in windows)
    scores = [
        (
            psnr(view.restored, view.clean),
            psnr(view.snowy, view.clean),
            psnr(_mapped(view.snowy, fitted), view.clean),
        )
        for view in views
    ]
    ours, snowy, mapped = (sum(column) / len(scores) for column in zip(*scores, strict=True))
    return Verdict(ours, snowy, mapped, views)


def fit_to(batches: Sequence[Batch]) -> AffineMap:
    """Fit a gain and an offset per channel to the middle frames of some batches."""
    return fit_affine(pair for batch in batches for pair in _pairs(batch))


def psnr(restored: Tensor, clean: Tensor) -> float:
    """Return the PSNR of pictures in [0, 1], in dB, after rounding both to 8 bits; 0 for NaNs."""
    error = float((_rounded(restored).double() - _rounded(clean).double()).square().mean())
    if math.isnan(error):
        return 0.0  # not what min() makes of a NaN, which would be the best
    return ALIKE if error == 0 else min(ALIKE, -10 * math.log10(error))


def _view(network: nn.Module, snowy: Tensor, clean: Tensor, precision: str) -> View:
    device = next(network.parameters()).device
    info: ModelInfo = network.info  # type: ignore[assignment]
    height, width = (int(side) - int(side) % info.multiple for side in snowy.shape[-2:])
    snowy, clean = (clip[..., :height, :width] for clip in (snowy, clean))
    middle = len(snowy) // 2
    clip = snowy[None].to(device)
    analyse: Any = getattr(network, "analyse", None)
    with autocast(precision, device):
        found = analyse(clip) if analyse is not None else None
        restored = network(clip) if found is None else found.restored
    layers = _layers(found, middle, (height, width))
    return View(snowy[middle], _rounded(restored[0, middle].cpu()), clean[middle], layers)


def _layers(found: Any, middle: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return the layers that a network shows, at the size of the frame, [1 or 3, H, W] each.

    Of layers that are features rather than pictures, as SemiVDN's are, it is the mean.
    """
    layers, shown = {}, getattr(found, "layers", found)
    for symbol, name in (("S", "snow"), ("T", "transmission"), ("A", "light"), ("z", "mask")):
        value = getattr(shown, name, None)
        if isinstance(value, Tensor):
            layer = value[0, middle].float().cpu()
            layer = layer if len(layer) in (1, 3) else layer.mean(0, keepdim=True)
            layers[symbol] = nn.functional.interpolate(layer[None], size)[0]
    return layers


def _rounded(picture: Tensor) -> Tensor:
    return (picture.float().clamp(0, 1) * 255).round() / 255


def _mapped(picture: Tensor, fitted: AffineMap) -> Tensor:
    gain, offset = (torch.tensor(v)[:, None, None] for v in (fitted.gain, fitted.offset))
    return picture * gain + offset


def _pairs(batch: Batch) -> Iterator[tuple[Frame, Frame]]:
    middle = batch.snowy.shape[1] // 2
    for sample in range(len(batch.snowy)):
        snowy, clean = (
            (clip[sample, middle] * 255).round().byte().permute(1, 2, 0).numpy()
            for clip in (batch.snowy, batch.clean)
        )
        yield snowy, clean
