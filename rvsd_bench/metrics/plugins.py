"""Open metrics of other packages, and hold them to what the evaluator needs to know of a metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rvsd_bench import registry
from rvsd_bench.errors import InputError, RvsdBenchError
from rvsd_bench.metrics.card import Metric, MetricCard


def open_plugin(name: str, params: Mapping[str, Any]) -> Metric:
    """Open the metric that a package registered as `build(**params) -> Metric`.

    Raises InputError, naming the package, for one that cannot be built or does not say on its card
    what a table has to know, and MissingError for one whose own dependencies are not installed.
    """
    build = registry.find("metric", name)
    where = f"metric {name!r} of {registry.package('metric', name)}"
    try:
        metric: Metric = build(**params)
        fault = _fault(name, metric)
    except RvsdBenchError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise InputError(f"{where} cannot be built: {type(error).__name__}: {error}") from error
    if fault:
        raise InputError(f"{where} {fault}")
    return metric


def _fault(name: str, metric: Metric) -> str:
    card = getattr(metric, "card", None)
    if not isinstance(card, MetricCard):
        return "has no MetricCard as its `card`"
    if card.name != name:
        return f"is called {card.name!r} on its card"
    if card.kind not in ("fr", "nr") or card.direction not in ("higher", "lower"):
        return "must say on its card whether it is `fr` or `nr`, and `higher` or `lower` is better"
    if card.temporal:
        return "takes two frames in succession, which plug-ins cannot yet"
    if not all(callable(getattr(metric, part, None)) for part in ("prepare", "score")):
        return "needs the methods prepare and score"
    return ""
