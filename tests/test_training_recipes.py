"""Hold the recipes that come with the networks to the losses there are, and to the papers."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from rvsd_bench.baselines import desnownet, semivdn, svdnet
from rvsd_bench.baselines.desnownet import objective as desnownet_objective
from rvsd_bench.baselines.desnownet.losses import TAU, adam_weight_decay
from rvsd_bench.baselines.semivdn import objective as semivdn_objective
from rvsd_bench.baselines.svdnet import objective as svdnet_objective
from rvsd_bench.recipe import structure
from rvsd_bench.training.recipe import TrainingRecipe

NETWORKS = {"desnownet": desnownet, "semivdn": semivdn, "svdnet": svdnet}
OBJECTIVES = {
    "desnownet": desnownet_objective,
    "semivdn": semivdn_objective,
    "svdnet": svdnet_objective,
}


def _folder(package: ModuleType) -> Path:
    assert package.__file__ is not None
    return Path(package.__file__).parent / "recipes"


def _read(baseline: str, name: str) -> TrainingRecipe:
    text = (_folder(NETWORKS[baseline]) / f"{name}.toml").read_text(encoding="utf-8")
    return structure(TrainingRecipe, tomllib.loads(text), f"{baseline} {name}")


ALL = [
    (baseline, preset, kind)
    for baseline, package in NETWORKS.items()
    for preset in package.PRESETS
    for kind in ("paper", "cpu")
]


OURS = ("shipped", "ablations")
"""How the weights were made that come with the package, and what its parts are worth."""


@pytest.mark.parametrize("baseline", NETWORKS)
def test_every_preset_has_its_two_recipes_and_no_stranger_lies_there(
    baseline: str,
) -> None:
    there = {path.stem for path in _folder(NETWORKS[baseline]).iterdir()}
    wanted = {f"{preset}-{kind}" for b, preset, kind in ALL if b == baseline}
    assert wanted <= there
    assert there - wanted <= {
        f"{preset}-{kind}" for preset in NETWORKS[baseline].PRESETS for kind in OURS
    }


SHIPPED = [
    (baseline, preset, kind)
    for baseline, package in NETWORKS.items()
    for preset in package.PRESETS
    for kind in OURS
    if (_folder(package) / f"{preset}-{kind}.toml").is_file()
]


@pytest.mark.parametrize(("baseline", "preset", "kind"), ALL + SHIPPED)
def test_a_recipe_fits_its_network_and_weighs_losses_that_it_has(
    baseline: str, preset: str, kind: str
) -> None:
    recipe, module = _read(baseline, f"{preset}-{kind}"), OBJECTIVES[baseline]
    info = NETWORKS[baseline].build(None if preset == "default" else preset).info
    assert (recipe.baseline, recipe.preset) == (baseline, preset)
    assert recipe.frames == info.window
    assert recipe.crop >= info.min_size and recipe.crop % info.multiple == 0
    assert set(recipe.losses) <= module.TERMS and all(recipe.losses.values())
    module.build(recipe.losses, features=None, **recipe.settings)
    real = set(recipe.losses) & module.UNLABELLED_TERMS
    assert bool(real) == (recipe.semi.batch > 0)
    assert set(recipe.optimiser.slower) <= {"flow", "overview"}
    for ablation in recipe.ablations.values():
        assert set(ablation.without) <= set(recipe.losses)


@pytest.mark.parametrize(("baseline", "preset", "kind"), ALL)
def test_small_recipes_need_no_pretrained_weights_and_published_ones_are_long(
    baseline: str, preset: str, kind: str
) -> None:
    recipe = _read(baseline, f"{preset}-{kind}")
    if kind == "cpu":
        assert not set(recipe.losses) & OBJECTIVES[baseline].FEATURE_TERMS
        assert recipe.steps <= 2000
    else:
        assert recipe.steps == 300_000
        ours = {"inside", "decibels", "decibels_inside", "snow", "transmission", "light", "edges"}
        assert not set(recipe.losses) & ours


def test_the_recipe_of_semivdn_is_that_of_its_paper() -> None:
    """Sections 3.3, 3.4 and 4.2."""
    recipe = _read("semivdn", "default-paper")
    assert (recipe.steps, recipe.batch, recipe.frames, recipe.crop) == (300_000, 4, 3, 256)
    assert (recipe.optimiser.kind, recipe.optimiser.lr) == ("adamw", 1e-4)
    assert (recipe.schedule.kind, recipe.ema.decay) == ("polynomial", 0.99)
    assert recipe.losses == {
        "charbonnier": 1, "perceptual": 0.03, "frequency": 10, "consistency": 2,
        "perceptual_contrast": 0.1, "dark_channel": 0.1, "variation": 0.5, "distribution": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["default-paper", "tiny-paper", "tiny-cpu", "default-cpu"])
def test_the_variants_of_semivdn_are_those_of_table_2(name: str) -> None:
    """TDE, SST, DCR: M1 none of them, M2 the first, M3 the first two."""
    recipe = _read("semivdn", name)
    real = semivdn_objective.UNLABELLED_TERMS & set(recipe.losses)
    left = {
        name: (variant.network.get("experts", "temporal"), real - set(variant.without))
        for name, variant in recipe.ablations.items()
    }
    assert left == {
        "M1": ("none", set()),
        "M2": ("temporal", set()),
        "M3": ("temporal", real - {"distribution"}),
    }
    assert [v.unlabelled for v in recipe.ablations.values()] == [False, False, True]
    assert all(set(v.without) <= real for v in recipe.ablations.values())


def test_the_recipe_of_desnownet_weighs_equation_8() -> None:
    recipe = _read("desnownet", "default-paper")
    assert recipe.losses == {"recovered": 1, "restored": 1, "mask": 3}
    assert recipe.optimiser.kind == "adam"
    assert recipe.optimiser.weight_decay == adam_weight_decay()
    assert (recipe.settings["tau"], recipe.crop) == (TAU, 2**TAU)


@pytest.mark.parametrize("baseline", NETWORKS)
def test_presets_differ_in_size_and_not_in_how_the_paper_trains_them(baseline: str) -> None:
    presets = list(NETWORKS[baseline].PRESETS)
    whole = _read(baseline, f"{presets[0]}-paper")
    for preset in presets[1:]:
        other = _read(baseline, f"{preset}-paper")
        assert (other.optimiser.lr, other.schedule) == (whole.optimiser.lr, whole.schedule)
        missing = {"flow"} if preset == "lite" else set()
        assert whole.losses.keys() - other.losses.keys() == missing
