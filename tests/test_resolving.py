"""Hold training recipes to being strict, and to coming back from the disk as they were."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rvsd_bench import registry
from rvsd_bench.errors import InputError
from rvsd_bench.training.objectives import module_of, open_objective, read_recipe, recipe_names
from rvsd_bench.training.recipe import Ablation, TrainingRecipe
from rvsd_bench.training.resolving import (
    differences,
    digest,
    read_resolved,
    resolve,
    to_toml,
)
from rvsd_bench.training.weighing import needs_features, weigh

RECIPE = """
baseline = "svdnet"
preset = "lite"
steps = 50
[losses]
charbonnier = 1.0
edges = 0.5
perceptual = 0.1
"""
ABLATIONS = """
[ablations.M1]
without = ["edges", "perceptual"]
network = {reach = 0}
[ablations.M2]
without = ["edges"]
unlabelled = false
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a recipe's file."""
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return path


def _module(**sets: set[str]) -> ModuleType:
    module = ModuleType("objective")
    module.TERMS = {"charbonnier", "edges", "perceptual", "consistency", "regularisation"}
    module.FEATURE_TERMS = {"perceptual", "regularisation"}
    module.UNLABELLED_TERMS = {"consistency", "regularisation"}
    module.__dict__.update(sets)
    return module


# ---------------------------------------------------------------- resolving


def test_what_the_command_line_says_is_put_into_the_recipe(file: Path) -> None:
    recipe = resolve("svdnet?preset=lite&reach=1", file, steps=7, seed=3)
    assert (recipe.steps, recipe.seed, recipe.network) == (7, 3, {"reach": "1"})
    plain = resolve("svdnet", file)
    assert (plain.steps, plain.seed, plain.preset) == (50, 0, "lite")
    assert plain.losses == {"charbonnier": 1.0, "edges": 0.5, "perceptual": 0.1}


def test_weights_to_start_from_are_no_part_of_the_recipe(file: Path) -> None:
    assert resolve("svdnet?weights=/somewhere/w.safetensors", file) == resolve("svdnet", file)


def test_a_recipe_comes_back_from_its_file(tmp_path: Path, file: Path) -> None:
    file.write_text(RECIPE + 'settings = {"a key" = ["x\\ny", 2], deep = {b = true}}\n' + ABLATIONS)
    file.write_text(file.read_text().replace("settings", "[settings]\nq", 1))
    for ablation in ("full", "M1", "M2"):
        recipe = resolve("svdnet?reach=1&queries=4", file, ablation=ablation)
        written = tmp_path / "recipe.toml"
        written.write_text(to_toml(recipe))
        again = read_resolved(written)
        assert again == recipe and digest(again) == digest(recipe)
        assert differences(recipe, again) == []
        assert resolve("svdnet", written) == recipe  # and can be given as a recipe itself


def test_differences_are_told_by_key() -> None:
    old = TrainingRecipe("svdnet", 5, losses={"a": 1.0})
    new = replace(old, steps=6, losses={"b": 1.0}, data=replace(old.data, snow="heavy"))
    assert differences(old, new) == [
        "data.snow: moderate -> heavy",
        "losses.a: 1.0 -> absent",
        "losses.b: absent -> 1.0",
        "steps: 5 -> 6",
    ]
    assert digest(old) != digest(new)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("semivdn", "mine.toml is a recipe of svdnet, not of semivdn"),
        ("svdnet?preset=light", "mine.toml is a recipe of preset lite, not of light"),
        ("frames:/tmp", "only registered baselines can be trained"),
    ],
)
def test_a_recipe_of_something_else_is_refused(file: Path, spec: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        resolve(spec, file)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("steps = 0", r"steps is 0, must lie in \[1, 1e\+08\]"),
        ("crop = 8", r"crop is 8, must lie in \[16, 4096\]"),
        ("warm_up = 3", "no key named 'warm_up'"),
        ("precision = 'half'", "precision There is no choice named 'half'"),
        ("losses = {charbonnier = -1.0}", "losses.charbonnier is -1, must be 0 or more"),
        ("losses = {charbonnier = 0.0}", "weigh at least one above 0"),
        ("losses = {charbonnier = 'much'}", "must be a number, not 'much'"),
        ("ema = {decay = 1.5}", r"ema.decay is 1.5, must lie in \[0, 1\]"),
        ("schedule = {kind = 'linear'}", "no choice named 'linear'"),
        ("data = {snow = 3}", "data.snow must be text, not 3"),
        ("losses = [", "not valid TOML"),
    ],
)
def test_a_bad_recipe_is_refused_by_key_in_one_line(
    tmp_path: Path, line: str, complaint: str
) -> None:
    rest = {"baseline": "'svdnet'", "steps": "5", "losses": "{charbonnier = 1.0}"}
    rest.pop(line.partition(" ")[0], None)
    path = tmp_path / "bad.toml"
    path.write_text("\n".join([line, *(f"{key} = {value}" for key, value in rest.items())]))
    with pytest.raises(InputError, match=complaint) as refusal:
        resolve("svdnet", path)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_absent_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.toml: cannot be read"):
        resolve("svdnet", tmp_path / "none.toml")
    with pytest.raises(
        InputError, match=r"no training recipe of svdnet named 'lite-gpu'.*lite-cpu"
    ):
        resolve("svdnet?preset=lite", "gpu")
    with pytest.raises(InputError, match="affine comes with no training recipe: give --recipe"):
        resolve("affine")


# ---------------------------------------------------------------- shipped recipes


SHIPPED = [
    (baseline, name) for baseline in ("desnownet", "semivdn", "svdnet")
    for name in recipe_names(baseline)
]  # fmt: skip


@pytest.mark.parametrize(("baseline", "name"), SHIPPED)
def test_every_shipped_recipe_is_one_of_its_name_that_its_objective_knows(
    baseline: str, name: str
) -> None:
    preset, _, kind = name.rpartition("-")
    spec = f"{baseline}?preset={preset}"
    table = tomllib.loads(read_recipe(baseline, name))
    for ablation in ("full", *table.get("ablations", {})):
        recipe = resolve(spec, kind, ablation=ablation)
        assert (recipe.baseline, recipe.preset) == (baseline, preset)
        module = module_of(baseline)
        weighing = weigh(replace(recipe, features="none"), module, unlabelled=False)
        open_objective(module, weighing.weights, None, recipe.settings)


def test_every_preset_has_a_recipe_of_the_paper_and_one_for_a_cpu() -> None:
    from rvsd_bench.baselines.desnownet import config as desnownet
    from rvsd_bench.baselines.semivdn import config as semivdn
    from rvsd_bench.baselines.svdnet import config as svdnet

    configs = {"desnownet": desnownet, "semivdn": semivdn, "svdnet": svdnet}
    for baseline, config in configs.items():
        wanted = {f"{preset}-{kind}" for preset in config.PRESETS for kind in ("paper", "cpu")}
        assert wanted <= set(recipe_names(baseline))


# ---------------------------------------------------------------- ablations


def test_an_ablation_leaves_out_what_the_recipe_says(file: Path) -> None:
    file.write_text(RECIPE + "[semi]\nbatch = 4\n" + ABLATIONS)
    full, m1, m2 = (resolve("svdnet", file, ablation=a) for a in (None, "M1", "M2"))
    assert (full.ablation, m1.ablation, m2.ablation) == ("full", "M1", "M2")
    assert set(m1.losses) == {"charbonnier"} and m1.network == {"reach": 0}
    assert set(m2.losses) == {"charbonnier", "perceptual"} and m2.network == {}
    assert (full.semi.batch, m1.semi.batch, m2.semi.batch) == (4, 4, 0)


def test_ablations_that_do_not_fit_are_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(InputError, match=r"no ablation of svdnet named 'M1'.*Known: full"):
        resolve("svdnet", file, ablation="M1")
    file.write_text(RECIPE + ABLATIONS)
    done = tmp_path / "done.toml"
    done.write_text(to_toml(resolve("svdnet", file, ablation="M1")))
    with pytest.raises(InputError, match="this recipe is ablation M1 already; it has no M2"):
        resolve("svdnet", done, ablation="M2")
    file.write_text(RECIPE + '[ablations.M1]\nwithout = ["edge"]\n')
    with pytest.raises(InputError, match=r"loss to leave out .* 'edge'. Did you mean 'edges'"):
        resolve("svdnet", file, ablation="M1")


# ---------------------------------------------------------------- which losses count


def _weighed(unlabelled: bool, **changes: Any) -> Any:
    losses = dict.fromkeys(("charbonnier", "perceptual", "consistency", "regularisation"), 1.0)
    recipe = TrainingRecipe("semivdn", 5, losses={**losses, "edges": 0.0}, **changes)
    recipe = replace(recipe, semi=replace(recipe.semi, batch=2))
    return weigh(recipe, _module(), unlabelled=unlabelled)


def test_losses_that_cannot_be_had_are_dropped_with_their_reason() -> None:
    whole = _weighed(True)
    assert set(whole.weights) == {"charbonnier", "perceptual", "consistency", "regularisation"}
    assert (whole.dropped, whole.told) == ({}, [])
    labelled = _weighed(False)
    assert set(labelled.weights) == {"charbonnier", "perceptual"}
    assert labelled.told == ["no unlabelled clips: goes without consistency, regularisation"]
    blind = _weighed(True, features="none")
    assert set(blind.weights) == {"charbonnier", "consistency"}
    assert blind.told == ['features = "none": goes without perceptual, regularisation']
    assert needs_features(_module(), whole) and needs_features(_module(), labelled)
    assert not needs_features(_module(), blind)


def test_a_training_without_unlabelled_clips_is_called_by_its_variant() -> None:
    variants = {
        "M1": Ablation(network={"experts": False}, without=("consistency", "regularisation")),
        "M2": Ablation(without=("regularisation", "consistency"), unlabelled=False),
        "M3": Ablation(without=("regularisation",)),
    }
    assert _weighed(False, ablations=variants).ablation == "M2"
    assert _weighed(False, ablations=variants).told[-1] == "this is ablation M2"
    assert _weighed(False, features="none", ablations=variants).ablation == "M2"
    assert _weighed(True, ablations=variants).ablation == "full"


def test_a_loss_that_the_network_does_not_know_is_refused_by_name() -> None:
    recipe = TrainingRecipe("semivdn", 5, losses={"edge": 0.0, "edges": 1.0})
    with pytest.raises(InputError, match=r"no loss of this network named 'edge'. Did you mean"):
        weigh(recipe, _module(), unlabelled=False)
    recipe = TrainingRecipe("semivdn", 5, losses={"perceptual": 1.0}, features="none")
    with pytest.raises(InputError, match="no loss is left: perceptual cannot be had"):
        weigh(recipe, _module(), unlabelled=False)


# ---------------------------------------------------------------- objectives


def test_a_network_without_an_objective_learns_by_the_plain_image_losses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert module_of("svdnet").__name__ == "rvsd_bench.baselines.svdnet.objective"
    assert module_of("affine").__name__ == "rvsd_bench.baselines.objective"
    assert recipe_names("affine") == []

    def build() -> None:
        """Stand for a factory of another package."""

    monkeypatch.setattr(registry, "find", lambda kind, name: build)
    build.__module__ = "json.decoder"
    assert module_of("another").__name__ == "rvsd_bench.baselines.objective"


def test_settings_that_the_objective_does_not_take_are_refused() -> None:
    module = module_of("svdnet")
    with pytest.raises(InputError, match="no_such"):
        open_objective(module, {"charbonnier": 1.0}, None, {"no_such": 1})
