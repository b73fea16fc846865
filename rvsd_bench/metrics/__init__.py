"""The metrics of the protocols; heavy backends are imported by the metric that needs them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rvsd_bench import registry
from rvsd_bench.errors import InputError, MissingError, unknown
from rvsd_bench.metrics.card import CARDS, Metric, MetricCard
from rvsd_bench.weights.store import WeightsFile, find

if TYPE_CHECKING:
    from rvsd_bench.metrics.temporal import TemporalMetric

__all__ = ["BACKENDS", "CARDS", "Metric", "MetricCard", "open_metric", "open_temporal", "require"]

BACKENDS = ("native", "pyiqa")


def require(
    name: str,
    *,
    weights_dir: Path | None = None,
    backend: str = "native",
    allowed: Mapping[str, str] = MappingProxyType({}),
) -> WeightsFile | None:
    """Return the checked weights of one of our metrics, None if it has none.

    `allowed` maps keys of weights to the digests of other files that the user trusts. Raises
    MissingError for a package or a file that is not here; nothing heavy is imported.
    """
    card = CARDS[name]
    for package in ("pyiqa", "torchvision") if _by_pyiqa(card, backend) else card.packages:
        if find_spec(package) is None:
            raise MissingError(
                f"metric {card.name!r} needs the package {package}: pip install {package}"
            )
    return find(card.weights, weights_dir, allowed=allowed) if card.weights else None


def open_metric(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    device: str = "cpu",
    weights_dir: Path | None = None,
    weights: WeightsFile | None = None,
    backend: str = "native",
) -> Metric:
    """Open a metric by name, ready to score uint8 RGB frames.

    `params` are a protocol's choices, by name as on the metric's card. `backend` "pyiqa" computes
    with pyiqa what it can (psnr, ssim, lpips). `weights` is what `require` found; without it they
    are looked for, and whatever is missing is said as `require` does.
    Metrics of other packages are factories `build(**params) -> Metric` under the entry point group
    `rvsd_bench.metrics`.
    """
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    choices = dict(params or {})
    if name not in CARDS:
        return _foreign(name, choices)
    card = CARDS[name]
    if card.temporal:
        raise InputError(f"metric {name!r} takes two frames in succession: see open_temporal")
    _require_known(card, choices)
    file = weights or require(name, weights_dir=weights_dir, backend=backend)
    if _by_pyiqa(card, backend):
        from rvsd_bench.metrics.oracle import open_oracle

        return open_oracle(card, choices, device, file)
    return _native(card, choices, device, file)


def open_temporal(
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    device: str = "cpu",
    weights_dir: Path | None = None,
    weights: WeightsFile | None = None,
) -> TemporalMetric:
    """Open a metric of two frames in succession: `warp_err`, `tof`, `tlp` or `flicker`."""
    temporal = {card.name: card for card in CARDS.values() if card.temporal}
    if name not in temporal:
        raise unknown("temporal metric", name, temporal)
    choices = dict(params or {})
    _require_known(temporal[name], choices)
    file = weights or require(name, weights_dir=weights_dir)
    from rvsd_bench.metrics import temporal as metrics

    return metrics.open_temporal(temporal[name], choices, device, file)


def _require_known(card: MetricCard, choices: Mapping[str, Any]) -> None:
    for choice in choices:
        if choice not in card.params:
            raise unknown(f"parameter of metric {card.name!r}", choice, card.params)


def _by_pyiqa(card: MetricCard, backend: str) -> bool:
    return backend == "pyiqa" and card.kind == "fr" and "pyiqa" in card.backends


def _native(
    card: MetricCard, choices: dict[str, Any], device: str, file: WeightsFile | None
) -> Metric:
    if file is None:
        from rvsd_bench.metrics.fidelity import open_fidelity

        return open_fidelity(card, choices)
    if card.name == "lpips":
        from rvsd_bench.metrics.perceptual import open_lpips

        return open_lpips(file, device=device, **choices)
    from rvsd_bench.metrics.noreference import open_no_reference

    return open_no_reference(card.name, file, device)


def _foreign(name: str, choices: dict[str, Any]) -> Metric:
    others = registry.names("metric")
    if name not in others:
        raise unknown("metric", name, (*CARDS, *others))
    from rvsd_bench.metrics.plugins import open_plugin

    return open_plugin(name, choices)
