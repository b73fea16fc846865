"""Settle which losses a training goes by: what the recipe weighs, less what cannot be had."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from rvsd_bench.errors import InputError
from rvsd_bench.training.objectives import check_terms
from rvsd_bench.training.recipe import TrainingRecipe


@dataclass(frozen=True)
class Weighing:
    """The losses of a training."""

    weights: dict[str, float]
    """Those that count."""
    dropped: dict[str, str]
    """Those that the recipe weighs and the training goes without, and why."""
    ablation: str
    """The variant of the recipe that this is."""

    @property
    def told(self) -> list[str]:
        """Say for people what the training goes without."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.dropped.items():
            reasons.setdefault(reason, []).append(name)
        lines = [f"{reason}: goes without {', '.join(names)}" for reason, names in reasons.items()]
        return [*lines, f"this is ablation {self.ablation}"] if self.ablation != "full" else lines


def weigh(recipe: TrainingRecipe, module: ModuleType, *, unlabelled: bool) -> Weighing:
    """Drop the losses that need real clips or VGG-16 features where the training has none.

    Where what is left is a variant of the recipe, it is called by that name. Raises InputError for
    a loss that the objective does not know, and if none is left.
    """
    check_terms(module, recipe.losses)
    wanted = {name: weight for name, weight in recipe.losses.items() if weight > 0}
    alone = not (unlabelled and recipe.semi.batch)
    unheard = frozenset(module.UNLABELLED_TERMS & wanted.keys() if alone else ())
    dropped = dict.fromkeys(unheard, "no unlabelled clips")
    if recipe.features == "none":
        dropped |= dict.fromkeys(module.FEATURE_TERMS & wanted.keys(), 'features = "none"')
    weights = {name: weight for name, weight in wanted.items() if name not in dropped}
    if not weights:
        raise InputError(f"no loss is left: {', '.join(sorted(dropped))} cannot be had")
    return Weighing(weights, dict(sorted(dropped.items())), _name(recipe, unheard))


def needs_features(module: ModuleType, weighing: Weighing) -> bool:
    """Return whether any of the losses looks at VGG-16 features."""
    return bool(module.FEATURE_TERMS & weighing.weights.keys())


def _name(recipe: TrainingRecipe, dropped: frozenset[str]) -> str:
    """Return the variant that goes without just these; VGG-16 makes no other variant."""
    if recipe.ablation != "full":
        return recipe.ablation
    for name, ablation in recipe.ablations.items():
        if dropped and not ablation.network and set(ablation.without) == dropped:
            return name
    return recipe.ablation
