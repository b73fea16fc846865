"""Snow and haze by the atmospheric scattering model, with every layer, for any clip."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvsd_bench.generators.layers import Layers as Layers
    from rvsd_bench.generators.layers import read_layers as read_layers
    from rvsd_bench.generators.pairs import SnowPairs as SnowPairs
    from rvsd_bench.generators.recipes import Recipe as Recipe
    from rvsd_bench.generators.recipes import load_recipe as load_recipe
    from rvsd_bench.generators.recipes import preset as preset
    from rvsd_bench.generators.recipes import preset_names as preset_names
    from rvsd_bench.generators.recipes import recipe_names as recipe_names
    from rvsd_bench.generators.rendering import RenderedFrame as RenderedFrame
    from rvsd_bench.generators.rendering import Shot as Shot
    from rvsd_bench.generators.rendering import prepare as prepare
    from rvsd_bench.generators.rendering import render as render
    from rvsd_bench.generators.rendering import render_frame as render_frame
    from rvsd_bench.generators.scene import Scene as Scene
    from rvsd_bench.generators.tracks import Flakes as Flakes
    from rvsd_bench.generators.tracks import flakes as flakes
    from rvsd_bench.generators.tracks import snow_flow as snow_flow
    from rvsd_bench.generators.weather import in_weather as in_weather

# Name -> module, imported when the name is first used: presets can be listed without numba.
_EXPORTS = {
    "Flakes": "tracks",
    "Layers": "layers",
    "Recipe": "recipes",
    "RenderedFrame": "rendering",
    "Scene": "scene",
    "Shot": "rendering",
    "SnowPairs": "pairs",
    "flakes": "tracks",
    "in_weather": "weather",
    "load_recipe": "recipes",
    "prepare": "rendering",
    "preset": "recipes",
    "preset_names": "recipes",
    "read_layers": "layers",
    "recipe_names": "recipes",
    "render": "rendering",
    "render_frame": "rendering",
    "snow_flow": "tracks",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
