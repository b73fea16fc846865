"""The metrics of the protocols; heavy backends are imported by the metric that needs them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from rvsd_bench import registry
from rvsd_bench.errors import MissingError, unknown
from rvsd_bench.metrics.card import CARDS, Metric, MetricCard
from rvsd_bench.weights import WeightsFile, find

__all__ = ["CARDS", "Backend", "Metric", "MetricCard", "open_metric"]

Backend = Literal["native", "pyiqa"]


def open_metric(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    device: str = "cpu",
    weights_dir: Path | None = None,
    backend: Backend = "native",
) -> Metric:
    """Open a metric by name, ready to score uint8 RGB frames.

    `params` are a protocol's choices, by name as on the metric's card. `backend` "pyiqa" computes
    with pyiqa what it can (psnr, ssim, lpips). Weights and packages that are missing raise
    MissingError before anything heavy is imported. Metrics of other packages are factories
    `build(**params) -> Metric` under the entry point group `rvsd_bench.metrics`.
    """
    choices = dict(params or {})
    if name not in CARDS:
        return _foreign(name, choices)
    card = CARDS[name]
    for choice in choices:
        if choice not in card.params:
            raise unknown(f"parameter of metric {name!r}", choice, card.params)
    oracle = backend == "pyiqa" and card.kind == "fr" and "pyiqa" in card.backends
    _require_packages(card, ("pyiqa", "torchvision") if oracle else card.packages)
    file = find(card.weights, weights_dir) if card.weights else None
    if oracle:
        from rvsd_bench.metrics.oracle import open_oracle

        return open_oracle(card, choices, device, file)
    return _native(card, choices, device, file)


def _native(
    card: MetricCard, choices: dict[str, Any], device: str, file: WeightsFile | None
) -> Metric:
    if file is None:
        from rvsd_bench.metrics import fidelity

        return fidelity.open_fidelity(card, choices)
    if card.name == "lpips":
        from rvsd_bench.metrics.perceptual import open_lpips

        return open_lpips(file, device=device, **choices)
    from rvsd_bench.metrics.noreference import open_no_reference

    return open_no_reference(card.name, file, device)


def _foreign(name: str, choices: dict[str, Any]) -> Metric:
    others = registry.names("metric")
    if name not in others:
        raise unknown("metric", name, (*CARDS, *others))
    metric: Metric = registry.find("metric", name)(**choices)
    return metric


def _require_packages(card: MetricCard, packages: tuple[str, ...]) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise MissingError(
                f"metric {card.name!r} needs the package {package}: pip install {package}"
            )
