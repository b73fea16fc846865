"""Choose the metrics of a run; see that each can be computed before anything heavy is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench.columns import TEMPORAL
from rvsd_bench.errors import InputError, MissingError, unknown
from rvsd_bench.evaluation.protocol import Protocol
from rvsd_bench.metrics import (
    BACKENDS,
    CARDS,
    Metric,
    MetricCard,
    open_metric,
    open_temporal,
    require,
)
from rvsd_bench.weights import store as weights

if TYPE_CHECKING:
    from rvsd_bench.metrics.temporal import TemporalMetric

ON_REQUEST = frozenset({"tlp"})
"""Metrics that are computed only where they are named: tLP costs as much as LPIPS does."""


@dataclass(frozen=True)
class Measure:
    """One metric with everything that decides its value."""

    card: MetricCard
    params: Mapping[str, Any]
    backend: str
    weights: weights.WeightsFile | None = None
    weights_dir: Path | None = None

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.card.name

    def identity(self, device: str) -> str:
        """Return all that decides the value of a frame, as text to compare."""
        digest = self.weights.sha256 if self.weights else None
        facts = {"params": dict(self.params), "backend": self.backend, "weights": digest}
        return json.dumps(facts | {"device": device if self.weights else "cpu"}, sort_keys=True)

    def open(self, device: str) -> Metric:
        """Open a metric of single frames; one opened in this process before is taken again."""
        return _opened(self.name, self._choices, device, self.weights_dir, self.backend)

    def open_temporal(self, device: str) -> TemporalMetric:
        """Open a metric of two frames in succession, as `open` does."""
        return _opened_temporal(self.name, self._choices, device, self.weights_dir)

    @property
    def _choices(self) -> str:
        return json.dumps(dict(self.params), sort_keys=True)


def choose(
    protocol: Protocol,
    wanted: Sequence[str] | None = None,
    *,
    backend: str = "native",
    weights_dir: Path | None = None,
    skip_missing: bool = False,
) -> tuple[tuple[Measure, ...], dict[str, str]]:
    """Return the metrics to compute, and the skipped ones with the reason.

    `wanted` names a part of the protocol's metrics; None means all, with those of regions and of
    time. Weights or packages that are absent raise MissingError, unless they are to be skipped.
    """
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    params = dict(protocol.metrics) | dict(protocol.regions) | _temporal(protocol)
    usual = [name for name in params if name not in ON_REQUEST]
    names = usual if wanted is None else list(dict.fromkeys(wanted))
    for name in names:
        if name not in CARDS:
            raise unknown("metric", name, CARDS)
        if name not in params:
            raise InputError(
                f"protocol {protocol.id!r} does not define metric {name!r}, "
                f"only {', '.join(params)}; choose another by --protocol"
            )
    chosen, skipped = [], {}
    for name in names:
        try:
            chosen.append(_measure(CARDS[name], params[name], backend, weights_dir))
        except MissingError as error:
            if not skip_missing:
                raise
            skipped[name] = str(error).splitlines()[0]
    if not chosen:
        raise MissingError(f"every metric was skipped: {'; '.join(skipped.values())}")
    return tuple(chosen), skipped


def require_truth(names: Iterable[str], data: Path) -> None:
    """Refuse metrics that compare with a clean frame where the dataset has none."""
    against = [name for name in names if name in CARDS and CARDS[name].kind == "fr"]
    if against:
        raise InputError(
            f"{data} is unpaired: it has no clean frames for {', '.join(against)}; "
            "use --protocol realsnow85-2024, whose metrics look at restored frames alone"
        )


def _temporal(protocol: Protocol) -> dict[str, Mapping[str, Any]]:
    """Return the metrics of time for a protocol that compares with clean frames.

    They have one definition, `metrics.temporal`, which is not the protocol's to choose and not in
    its hash; only tLP follows the protocol's LPIPS.
    """
    if not any(name in CARDS and CARDS[name].kind == "fr" for name in protocol.metrics):
        return {}
    found: dict[str, Mapping[str, Any]] = {name: {} for name in TEMPORAL if name != "tlp"}
    return found | ({"tlp": protocol.metrics["lpips"]} if "lpips" in protocol.metrics else {})


def _measure(
    card: MetricCard, params: Mapping[str, Any], backend: str, weights_dir: Path | None
) -> Measure:
    backend = backend if backend in card.backends else card.backends[0]
    file = require(card.name, weights_dir=weights_dir, backend=backend)
    return Measure(card, params, backend, file, weights_dir)


@lru_cache(maxsize=16)
def _opened(name: str, params: str, device: str, weights_dir: Path | None, backend: str) -> Metric:
    return open_metric(
        name, params=json.loads(params), device=device, weights_dir=weights_dir, backend=backend
    )


@lru_cache(maxsize=8)
def _opened_temporal(
    name: str, params: str, device: str, weights_dir: Path | None
) -> TemporalMetric:
    return open_temporal(name, params=json.loads(params), device=device, weights_dir=weights_dir)
