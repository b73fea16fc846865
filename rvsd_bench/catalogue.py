"""Say what there is: baselines, metrics, protocols, presets and dataset layouts, one row each.

Nothing here imports torch, cv2, pandas or pyiqa; what a stranger's plug-in imports is its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rvsd_bench import registry
from rvsd_bench.baselines.assembling import DEFAULT, shipped_weights
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.errors import RvsdBenchError

OURS = "Apache-2.0"
READY = "ready"
UNTRAINED = "untrained: needs weights=FILE, or --allow-untrained"


@dataclass(frozen=True)
class Row:
    """What a reader wants to know before using one thing."""

    name: str
    about: str
    licence: str
    needs: str = "nothing"
    status: str = READY
    """`ready`, or what is missing or broken and what to do."""


def baselines() -> list[Row]:
    """List the registered baselines and the schemes for models of one's own."""
    registered = registry.entries("baseline").items()
    rows = [row for name, claims in registered for row in _baseline(name, claims)]
    frames = "frames restored elsewhere, matched by name: the recommended submission"
    code = "a function in a file of yours that returns a restorer"
    graph = "a graph of pictures or clips; runs no code of the file's"
    known = "weights of an image restorer that spandrel recognises; runs no code of the file's"
    program = "a program of pictures, or of clips with window=N"
    trust = "--trust-code: it runs the file"
    onnx, spandrel = ("onnx", "onnxruntime"), ("spandrel",)
    return [
        *rows,
        Row("frames:DIR", frames, "yours", "a folder DIR/<video>/<frame>.png, or a zip of it"),
        Row("onnx:FILE.onnx", graph, "yours", "extra [onnx]", _missing(None, onnx)),
        Row("spandrel:FILE.pth", known, "yours", "extra [spandrel]", _missing(None, spandrel)),
        Row("py:FILE.py:build", code, "yours", trust),
        Row("torchscript:FILE.pt", program, "yours", trust),
    ]


def metrics() -> list[Row]:
    """List our metrics and those of plug-ins."""
    from rvsd_bench.metrics.card import CARDS

    rows = []
    for card in CARDS.values():
        needs = [f"weights {card.weights}"] if card.weights else []
        needs += [f"package {package}" for package in card.packages]
        needs += ["coverage layers"] if card.coverage else []
        about = f"{card.title}; {card.direction} is better; {card.paper}"
        status = _missing(card.weights, card.packages)
        rows.append(Row(card.name, about, card.licence, ", ".join(needs) or "nothing", status))
    for name, claims in registry.entries("metric").items():
        rows.append(_plugin("metric", name, claims)[0])
    return rows


def protocols() -> list[Row]:
    """List the protocols; each is as ready as the metrics that it asks for."""
    from rvsd_bench.evaluation import protocol

    statuses = {row.name: row.status for row in metrics()}
    rows = []
    for name in protocol.names():
        found = protocol.load(name)
        waiting = [metric for metric in found.metrics if statuses.get(metric) != READY]
        status = f"waits for {', '.join(waiting)}: see `list metrics`" if waiting else READY
        needs = f"metrics {', '.join(found.metrics)}"
        rows.append(Row(name, f"{found.status}: {found.about}", "its metrics'", needs, status))
    return rows


def presets() -> list[Row]:
    """List the shipped kinds of snowfall, recipes that draw one for every clip, and cameras."""
    from rvsd_bench.generators import load_recipe, preset, preset_names, recipe_names
    from rvsd_bench.generators.degradation import PRESETS

    kinds = [Row(name, preset(name).about, OURS) for name in preset_names()]
    recipes = [(name, str(load_recipe(name).tree["about"])) for name in recipe_names()]
    return [
        *kinds,
        *(Row(name, f"{about}: --recipe {name}", OURS) for name, about in recipes),
        *(Row(name, f"{camera}: --degrade {name}", OURS) for name, camera in PRESETS.items()),
    ]


def datasets() -> list[Row]:
    """List the dataset layouts that can be read; the datasets themselves are their authors'."""
    from rvsd_bench.data.layouts import LAYOUTS

    return [
        Row(
            layout.name,
            f"{'paired' if layout.paired else 'unpaired'}: {layout.summary}",
            "its authors'",
            "the dataset, from its authors",
            "not shipped",
        )
        for layout in LAYOUTS
    ]


LISTS: Mapping[str, Callable[[], list[Row]]] = MappingProxyType(
    {
        "baselines": baselines,
        "metrics": metrics,
        "protocols": protocols,
        "presets": presets,
        "datasets": datasets,
    }
)


def _baseline(name: str, claims: tuple[EntryPoint, ...]) -> list[Row]:
    """List a baseline by its card, and the presets of a network of ours below it."""
    row, factory = _plugin("baseline", name, claims)
    module = sys.modules.get(getattr(factory, "__module__", ""))
    card = getattr(module, "CARD", None)
    if not isinstance(card, ModelInfo):
        return [row]
    licence = card.licence + (f", weights {card.weights_licence}" if card.weights_licence else "")
    about = "; ".join(text for text in (card.about, card.paper) if text)
    needs = f"weights {card.weights}" if card.weights else card.needs
    row = Row(name, about, licence, needs, READY if card.trained else UNTRAINED)
    presets, shipped = getattr(module, "PRESETS", None), getattr(module, "SHIPPED", None)
    if not presets or not isinstance(shipped, Path):
        return [row]
    return [_preset(row, preset, presets, shipped) for preset in presets]


def _preset(row: Row, preset: str, presets: Mapping[str, Any], shipped: Path) -> Row:
    if shipped_weights(shipped, preset):
        row = replace(row, needs="nothing", status=READY)
    if preset == DEFAULT:
        return row
    usual = asdict(presets[DEFAULT])
    other = [f"{k}={_option(v)}" for k, v in asdict(presets[preset]).items() if v != usual[k]]
    about = f"the same with {', '.join(other)}"
    return replace(row, name=f"{row.name}?preset={preset}", about=about)


def _option(value: object) -> str:
    """Write a value as it is written in a spec."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def _plugin(
    kind: registry.Kind, name: str, claims: tuple[EntryPoint, ...]
) -> tuple[Row, object | None]:
    """Load a registered object and say which package it is from, or why it cannot be loaded."""
    package = claims[0].dist
    licence = "unstated"
    about = "registered by a package that cannot be named"
    if package is not None:
        about = f"registered by {package.name} {package.version}"
        keys = [key for key in ("License-Expression", "License") if key in package.metadata]
        licence = package.metadata[keys[0]] if keys else licence
    try:
        return Row(name, about, licence), registry.find(kind, name)
    except RvsdBenchError as error:
        return Row(name, about, licence, status=f"broken: {error}"), None


def _missing(weights: str | None, packages: tuple[str, ...]) -> str:
    from rvsd_bench.weights.store import locate

    absent = [f"package {package}" for package in packages if find_spec(package) is None]
    if weights and locate(weights) is None:
        absent.append(f"weights {weights}: see `rvsd-bench weights list`")
    return f"missing: {', '.join(absent)}" if absent else READY
