"""The metrics of the protocols; heavy backends are imported by the metric that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rvsd_bench.errors import unknown
from rvsd_bench.metrics.card import CARDS, Metric, MetricCard

__all__ = ["CARDS", "Metric", "MetricCard", "open_metric"]


def open_metric(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    device: str = "cpu",
    weights_dir: Path | None = None,
    backend: str = "native",
) -> Metric:
    """Open a metric by name, ready to score uint8 RGB frames.

    `params` are a protocol's choices: psnr `color` rgb/y and `eps`; ssim `color` y/rgb; lpips
    `channels` rgb/bgr; psnr_snow and psnr_clear `threshold` and `eps`. Weights that are missing or
    wrong raise `MissingError` or `InputError` before anything heavy is imported.
    """
    if name not in CARDS:
        raise unknown("metric", name, CARDS)
    card = CARDS[name]
    from rvsd_bench.metrics.fidelity import MaskedPsnr, Psnr, Ssim

    if name == "psnr":
        return _build(Psnr, params or {}, card)
    if name == "ssim":
        return _build(Ssim, params or {}, card)
    if name in ("psnr_snow", "psnr_clear"):
        return _build(MaskedPsnr, params or {}, card)
    raise NotImplementedError(name)


def _build(kind: Callable[..., Metric], params: Mapping[str, Any], card: MetricCard) -> Metric:
    return kind(**params, card=card)
