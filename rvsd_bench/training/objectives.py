"""Find what a network learns by: the objective in its own package, or the plain image losses."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from rvsd_bench import registry
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.training.batches import FeatureExtractor, Objective

PLAIN = "rvsd_bench.baselines.objective"
"""For a network whose package has no module `objective`."""


def module_of(baseline: str) -> ModuleType:
    """Return the module that holds the objective of a registered baseline."""
    package = _package(baseline)
    own = f"{package}.objective"
    return import_module(own if package and find_spec(own) else PLAIN)


def recipe_names(baseline: str) -> list[str]:
    """Return the recipes `<preset>-<name>` that come with a baseline."""
    return sorted(_recipes(baseline))


def read_recipe(baseline: str, name: str) -> str:
    """Return the text of a recipe that comes with a baseline."""
    known = _recipes(baseline)
    if name not in known:
        raise unknown(f"training recipe of {baseline}", name, known)
    text: str = known[name].read_text(encoding="utf-8")
    return text


def open_objective(
    module: ModuleType,
    weights: Mapping[str, float],
    features: FeatureExtractor | None,
    settings: Mapping[str, Any],
) -> Objective:
    """Build an objective; raise InputError for losses or settings that it does not know."""
    check_terms(module, weights)
    try:
        objective: Objective = module.build(weights, features=features, **settings)
    except TypeError as error:
        raise InputError(f"the recipe's settings: {error}") from error
    return objective


def check_terms(module: ModuleType, weights: Mapping[str, float]) -> None:
    """Raise InputError for a loss that an objective does not know, naming those that it does."""
    for name in weights:
        if name not in module.TERMS:
            raise unknown("loss of this network", name, module.TERMS)


def _package(baseline: str) -> str:
    """Return the package of a baseline's own, or "" if its factory lies in a shared module."""
    module = import_module(registry.find("baseline", baseline).__module__)
    return module.__name__ if hasattr(module, "__path__") else ""


def _recipes(baseline: str) -> dict[str, Any]:
    package = _package(baseline)
    folder = files(package).joinpath("recipes") if package else None
    if folder is None or not folder.is_dir():
        return {}
    return {
        file.name.removesuffix(".toml"): file
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }
