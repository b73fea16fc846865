"""Train any network that restores clips by plain image losses, and help the others weigh theirs.

A network with losses of its own has a module `objective` in its package, made as this one is: the
sets of names below, and `build`. See `training.batches.Objective`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from rvsd_bench.baselines import losses
from rvsd_bench.errors import InputError
from rvsd_bench.recipe import structure
from rvsd_bench.training.batches import Batch, FeatureExtractor

TERMS = frozenset(
    {
        "charbonnier",
        "inside",
        "decibels",
        "decibels_inside",
        "edges",
        "frequency",
        "perceptual",
    }
)
FEATURE_TERMS = frozenset({"perceptual"})
UNLABELLED_TERMS: frozenset[str] = frozenset()

S = TypeVar("S")
Weights = Mapping[str, float]
Term = Callable[[], Tensor | None]


@dataclass(frozen=True)
class Stateless:
    """What objectives have in common that remember nothing from step to step."""

    weights: Weights
    features: FeatureExtractor | None

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: every step is judged by itself."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on; raise InputError for the memory of another objective."""
        if state:
            raise InputError(f"these losses remember nothing, but {', '.join(state)} was stored")


@dataclass(frozen=True)
class ImageObjective(Stateless):
    """The losses of a restored clip alone."""

    terms: ClassVar[frozenset[str]] = TERMS

    def __call__(
        self, student: nn.Module, teacher: nn.Module, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        """Return the weighed terms of the student's restored frames; the teacher is not asked."""
        restored = student(batch.snowy)
        return weighed(self.weights, image_terms(restored, batch, self.features))


@dataclass(frozen=True)
class NoSettings:
    """Nothing to choose."""


def build(
    weights: Weights, *, features: FeatureExtractor | None = None, **settings: Any
) -> ImageObjective:
    """Return the plain image losses; they have no settings."""
    configure(NoSettings, settings, "the image losses")
    return ImageObjective(weights, features)


def image_terms(
    restored: Tensor, batch: Batch, features: FeatureExtractor | None
) -> dict[str, Term]:
    """Return the image losses of a restored clip [B, T, 3, H, W], by name, still to be computed.

    `inside` and `decibels_inside` need the coverage of rendered snow, `perceptual` features.
    """
    clean, layers = batch.clean, batch.layers
    return {
        "charbonnier": lambda: losses.charbonnier(restored, clean),
        "inside": lambda: (
            None if layers is None else losses.charbonnier_inside(restored, clean, layers.z)
        ),
        "decibels": lambda: losses.decibels(restored, clean),
        "decibels_inside": lambda: (
            None if layers is None else losses.decibels(restored, clean, layers.z)
        ),
        "edges": lambda: losses.edges(restored, clean),
        "frequency": lambda: losses.focal_frequency(restored, clean),
        "perceptual": lambda: (
            None if features is None else losses.perceptual(features, restored, clean)
        ),
    }


def weighed(weights: Weights, terms: Mapping[str, Term]) -> dict[str, Tensor]:
    """Compute the terms whose weight is above 0, and leave out those that there is nothing for."""
    found = {name: term() for name, term in terms.items() if weights.get(name, 0) > 0}
    return {name: value for name, value in found.items() if value is not None}


def configure(cls: type[S], settings: Mapping[str, Any], what: str) -> S:
    """Return the settings of an objective; raise InputError for what does not fit."""
    return structure(cls, settings, f"settings of {what}")
