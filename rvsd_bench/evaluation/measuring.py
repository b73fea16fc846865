"""Choose the metrics of a run; see that each can be computed before anything heavy is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rvsd_bench import registry
from rvsd_bench.columns import TEMPORAL
from rvsd_bench.errors import InputError, MissingError, unknown
from rvsd_bench.evaluation.protocol import BENCHMARK_VERSION, Protocol
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
"""Metrics that are computed only where they are named: tLP keeps features of every method."""


@dataclass(frozen=True)
class Measure:
    """One metric with everything that decides its value."""

    card: MetricCard
    params: Mapping[str, Any]
    backend: str
    weights: weights.WeightsFile | None = None
    package: str = ""
    """The package and version of a metric that is not ours."""

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.card.name

    def identity(self, device: str) -> str:
        """Return all that decides the value of a frame, as text to compare."""
        digest = self.weights.sha256 if self.weights else None
        facts = {"params": dict(self.params), "backend": self.backend, "weights": digest}
        facts |= {"package": self.package} if self.package else {}
        # What was scored by version 1 does not say so.
        facts |= {"benchmark": BENCHMARK_VERSION} if BENCHMARK_VERSION != "1" else {}
        return json.dumps(facts | {"device": device if self.weights else "cpu"}, sort_keys=True)

    def open(self, device: str) -> Metric:
        """Open a metric of single frames; one opened in this process before is taken again."""
        return _opened(self.name, self._choices, device, self.weights, self.backend)

    def open_temporal(self, device: str) -> TemporalMetric:
        """Open a metric of two frames in succession, as `open` does."""
        return _opened_temporal(self.name, self._choices, device, self.weights)

    @property
    def _choices(self) -> str:
        return json.dumps(dict(self.params), sort_keys=True)


def choose(
    protocol: Protocol,
    wanted: Sequence[str] | None = None,
    *,
    backend: str = "native",
    weights_dir: Path | None = None,
    allowed: Mapping[str, str] = MappingProxyType({}),
    skip_missing: bool = False,
) -> tuple[tuple[Measure, ...], dict[str, str]]:
    """Return the metrics to compute, and the skipped ones with the reason.

    `wanted` names a part of the protocol's metrics; None means all, with those of regions and of
    time. `allowed` maps keys of weights to the digests of other files that the user trusts. Weights
    or packages that are absent raise one MissingError that tells of all, unless they are to be
    skipped.
    """
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    params = dict(protocol.metrics) | dict(protocol.regions)
    params |= {name: given for name, given in _temporal(protocol).items() if name not in params}
    usual = [name for name in params if name not in ON_REQUEST]
    names = usual if wanted is None else list(dict.fromkeys(wanted))
    for name in names:
        if name not in CARDS and name not in params:
            raise unknown("metric", name, (*CARDS, *registry.names("metric")))
        if name not in params:
            raise InputError(
                f"protocol {protocol.id!r} does not define metric {name!r}, "
                f"only {', '.join(params)}; choose another by --protocol"
            )
    chosen, missing = [], {}
    for name in names:
        try:
            if name in CARDS:
                measure = _measure(CARDS[name], params[name], backend, weights_dir, allowed)
            else:
                measure = _plugin(name, params[name], protocol.plugins[name])
            chosen.append(measure)
        except MissingError as error:
            missing[name] = str(error)
        except InputError as error:
            if name in CARDS or not skip_missing:
                raise
            missing[name] = str(error)
    if missing and not skip_missing:
        told = "\n".join(missing.values())
        raise MissingError(f"{told}\nor leave out what is missing by --skip-missing")
    return tuple(chosen), {name: text.splitlines()[0] for name, text in missing.items()}


def custom(protocol: Protocol, measures: Iterable[Measure]) -> Protocol:
    """Return the protocol under which the measures' weights put their numbers.

    Weights that are not those on record make another protocol, so that nothing is ranked with the
    official numbers, nor with those of yet other weights.
    """
    # LPIPS and tLP share their weights, which count once.
    others = {m.weights.sha256 for m in measures if m.weights and m.weights.status != "verified"}
    if not others:
        return protocol
    digest = hashlib.sha256("".join(sorted(others)).encode()).hexdigest()
    return replace(protocol, id=f"{protocol.id}+custom-{digest[:8]}")


def require_truth(cards: Iterable[MetricCard], data: Path) -> None:
    """Refuse metrics that compare with a clean frame where the dataset has none."""
    against = [card.name for card in cards if card.kind == "fr"]
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
    card: MetricCard,
    params: Mapping[str, Any],
    backend: str,
    weights_dir: Path | None,
    allowed: Mapping[str, str],
) -> Measure:
    backend = backend if backend in card.backends else card.backends[0]
    file = require(card.name, weights_dir=weights_dir, backend=backend, allowed=allowed)
    return Measure(card, params, backend, file)


def _plugin(name: str, params: Mapping[str, Any], package: str) -> Measure:
    """Return a metric of another package, which only tells what it is when it is opened."""
    metric = open_metric(name, params=params)
    file = getattr(metric, "weights", None)
    file = file if isinstance(file, weights.WeightsFile) else None
    return Measure(metric.card, params, "native", file, package)


@lru_cache(maxsize=16)
def _opened(
    name: str, params: str, device: str, file: weights.WeightsFile | None, backend: str
) -> Metric:
    return open_metric(
        name, params=json.loads(params), device=device, weights=file, backend=backend
    )


@lru_cache(maxsize=8)
def _opened_temporal(
    name: str, params: str, device: str, file: weights.WeightsFile | None
) -> TemporalMetric:
    return open_temporal(name, params=json.loads(params), device=device, weights=file)
