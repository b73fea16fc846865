"""Settle what is trained: the recipe with everything that the command line says put into it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rvsd_bench.baselines.spec import Spec, parse
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.files import digest_of
from rvsd_bench.recipe import load_toml, structure
from rvsd_bench.texts import shortened
from rvsd_bench.training.objectives import read_recipe, recipe_names
from rvsd_bench.training.recipe import TrainingRecipe

FULL = "full"
"""The ablation that leaves nothing out."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def resolve(
    spec: Spec | str,
    recipe: str | Path = "cpu",
    *,
    steps: int | None = None,
    seed: int | None = None,
    ablation: str | None = None,
) -> TrainingRecipe:
    """Return the recipe of a training, with the options of `spec` and the ablation put into it.

    `recipe` is a file, or the name of one that comes with the baseline for that preset. Raises
    InputError for one of another baseline or preset, and for what is unknown or out of range.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    if spec.scheme != "name":
        raise InputError(f"{spec}: only registered baselines can be trained")
    options = {k: v for k, v in spec.options.items() if k not in ("weights", "preset")}
    table, where = _table(spec, recipe)
    chosen = structure(TrainingRecipe, table, where)
    if chosen.baseline != spec.target:
        raise InputError(
            f"{where} is a recipe of {shortened(chosen.baseline)}, not of {spec.target}"
        )
    preset = spec.options.get("preset", chosen.preset)
    if preset != chosen.preset:
        raise InputError(
            f"{where} is a recipe of preset {shortened(chosen.preset)}, not of {preset}"
        )
    given = {k: v for k, v in (("steps", steps), ("seed", seed)) if v is not None}
    network = {**chosen.network, **options}
    changed = {**asdict(chosen), **given, "network": network}
    return _ablated(structure(TrainingRecipe, changed, where), ablation or chosen.ablation)


def to_toml(recipe: TrainingRecipe) -> str:
    """Return a recipe as TOML that `resolve` reads back as the same."""
    tables = {k: v for k, v in asdict(recipe).items() if isinstance(v, Mapping)}
    lines = [f"{k} = {_value(v)}" for k, v in asdict(recipe).items() if k not in tables]
    for name, table in tables.items():
        if table:
            lines += ["", f"[{name}]", *(f"{_key(k)} = {_value(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def digest(recipe: TrainingRecipe) -> str:
    """Return the SHA-256 of all that a recipe says."""
    return digest_of(asdict(recipe))


def read_resolved(path: Path) -> TrainingRecipe:
    """Return the recipe that a training wrote into its folder."""
    return structure(TrainingRecipe, load_toml(path), str(path))


def differences(old: TrainingRecipe, new: TrainingRecipe) -> list[str]:
    """Return what differs between two recipes, as `key: old -> new`."""
    before, after = (dict(_flat(asdict(recipe))) for recipe in (old, new))
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _table(spec: Spec, recipe: str | Path) -> tuple[dict[str, Any], str]:
    """Return a recipe's table and what to call it."""
    if isinstance(recipe, Path) or recipe.endswith(".toml") or "/" in recipe:
        return load_toml(recipe), str(recipe)
    preset = spec.options.get("preset", "default")
    known = recipe_names(spec.target)
    name = f"{preset}-{recipe}"
    if not known:
        raise InputError(f"{spec.target} comes with no training recipe: give --recipe FILE.toml")
    if name not in known:
        raise unknown(f"training recipe of {spec.target}", name, known)
    return tomllib.loads(read_recipe(spec.target, name)), f"recipe {name} of {spec.target}"


def _ablated(recipe: TrainingRecipe, name: str) -> TrainingRecipe:
    """Leave out what a variant leaves out; a recipe that was ablated already stays as it is."""
    if name == recipe.ablation:
        return recipe
    if recipe.ablation != FULL:
        raise InputError(f"this recipe is ablation {recipe.ablation} already; it has no {name}")
    if name not in recipe.ablations:
        raise unknown(f"ablation of {recipe.baseline}", name, [FULL, *recipe.ablations])
    ablation = recipe.ablations[name]
    for loss in ablation.without:
        if loss not in recipe.losses:
            raise unknown(f"loss to leave out in ablation {name}", loss, recipe.losses)
    losses = {k: v for k, v in recipe.losses.items() if k not in ablation.without}
    return replace(
        recipe,
        ablation=name,
        network={**recipe.network, **ablation.network},
        losses=losses,
        semi=recipe.semi if ablation.unlabelled else replace(recipe.semi, batch=0),
    )


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield name, list(value) if isinstance(value, tuple) else value


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
