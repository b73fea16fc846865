"""Name snowfalls: the shipped presets, and recipes that leave numbers to chance."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rvsd_bench.errors import unknown
from rvsd_bench.generators.scene import Scene
from rvsd_bench.recipe import corners, distributions, load_toml, settle, structure
from rvsd_bench.seeds import stream


def preset_names() -> tuple[str, ...]:
    """Return the names of the shipped presets, in alphabetical order."""
    folder = resources.files("rvsd_bench.generators") / "presets"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


def preset(name: str) -> Scene:
    """Return a shipped scene by its name; an unknown name raises `InputError`."""
    if name not in preset_names():
        raise unknown("preset", name, preset_names())
    file = resources.files("rvsd_bench.generators") / "presets" / f"{name}.toml"
    return structure(Scene, tomllib.loads(file.read_text(encoding="utf-8")), f"preset {name}")


@dataclass(frozen=True)
class Recipe:
    """A scene whose numbers may be distributions: the tables of a TOML file, checked."""

    tree: Mapping[str, Any]
    where: str = "recipe"

    def __post_init__(self) -> None:
        for tree in corners(self.tree, self.where):
            structure(Scene, tree, self.where)

    def draw(self, seed: int, source_id: str = "", variant: int = 0) -> Scene:
        """Return the scene of one variant of one source; each number has its own stream."""
        values = {
            path: chance.at(stream("recipe", seed, source_id, variant, path).random())
            for path, chance in distributions(self.tree, self.where)
        }
        return structure(Scene, settle(self.tree, values.__getitem__), self.where)


def recipe_names() -> tuple[str, ...]:
    """Return the names of the shipped recipes of whole datasets, such as `rvsd_like.toml`."""
    folder = resources.files("rvsd_bench.generators") / "corpora"
    return tuple(sorted(file.name for file in folder.iterdir()))


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe from a TOML file, or the shipped one of that name where there is no such file.

    Every fault raises `InputError` with the key's path.
    """
    if not Path(path).exists() and str(path) in recipe_names():
        shipped = resources.files("rvsd_bench.generators") / "corpora" / str(path)
        return Recipe(tomllib.loads(shipped.read_text(encoding="utf-8")), str(path))
    return Recipe(load_toml(path), str(path))


def as_recipe(scene: Scene | Recipe) -> Recipe:
    """Return the recipe itself, or the recipe that always draws this scene."""
    if isinstance(scene, Recipe):
        return scene
    return Recipe(asdict(scene), "scene")
