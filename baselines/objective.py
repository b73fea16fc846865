"""Train any network that has no objective of its own: by the restored frames alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from rvsd_bench.baselines.losses import charbonnier, edges
from rvsd_bench.training.batches import Batch, FeatureExtractor
from rvsd_bench.training.vgg import perceptual

TERMS = frozenset({"charbonnier", "edges", "perceptual"})
FEATURE_TERMS = frozenset({"perceptual"})
UNLABELLED_TERMS: frozenset[str] = frozenset()


class ImageObjective:
    """Compares what the network returns with the truth; it remembers nothing."""

    terms = TERMS

    def __init__(self, weighed: frozenset[str], features: FeatureExtractor | None) -> None:
        self.weighed, self.features = weighed, features

    def __call__(
        self, student: nn.Module, teacher: nn.Module, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        """Return the terms that are weighed."""
        restored = student(batch.snowy)
        found: dict[str, Tensor] = {}
        if "charbonnier" in self.weighed:
            found["charbonnier"] = charbonnier(restored, batch.clean)
        if "edges" in self.weighed:
            found["edges"] = edges(restored, batch.clean)
        if "perceptual" in self.weighed and self.features is not None:
            found["perceptual"] = perceptual(self.features, restored, batch.clean)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""


def build(weights: Mapping[str, float], *, features: FeatureExtractor | None) -> ImageObjective:
    """Return the objective of the terms that `weights` weighs above 0."""
    return ImageObjective(frozenset(n for n, w in weights.items() if w > 0), features)
