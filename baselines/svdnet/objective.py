"""What SVDNet is trained by: the restored frames, the layers of eq. 1, flow, and kinds of snow.

That layers are decoupled and that snow is contrasted is known of the paper; the rest is inferred.
docs/training.md tells which is which, and why small networks need `snow`, `mask` and `inside`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from rvsd_bench.baselines import objective
from rvsd_bench.baselines.losses import charbonnier
from rvsd_bench.baselines.objective import NoSettings, Stateless, Term, Weights
from rvsd_bench.baselines.svdnet import losses
from rvsd_bench.baselines.svdnet.analysis import Analysis
from rvsd_bench.baselines.svdnet.network import SVDNet
from rvsd_bench.training.batches import Around, Batch, FeatureExtractor, Layers

TERMS = objective.TERMS | {
    "inverted",
    "reconstruction",
    "snow",
    "transmission",
    "overview",
    "light",
    "mask",
    "flow",
    "contrast",
}
FEATURE_TERMS = objective.FEATURE_TERMS
UNLABELLED_TERMS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SvdnetObjective(Stateless):
    """The losses of a window; those of the layers only where the data knows them."""

    terms: ClassVar[frozenset[str]] = TERMS

    def __call__(
        self, student: SVDNet, teacher: SVDNet, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        """Return the weighed terms; the teacher is not asked."""
        found = student.analyse(batch.snowy, batch.around)
        return objective.weighed(
            self.weights,
            {
                **objective.image_terms(found.restored, batch, self.features),
                **_physics(found, batch),
                **(_layers(found, batch.layers) if batch.layers else {}),
                "overview": lambda: _overview(found, batch.around),
            },
        )


def build(
    weights: Weights, *, features: FeatureExtractor | None = None, **settings: Any
) -> SvdnetObjective:
    """Return the losses; they have no settings."""
    objective.configure(NoSettings, settings, "svdnet")
    return SvdnetObjective(weights, features)


def _physics(found: Analysis, batch: Batch) -> dict[str, Term]:
    """Return what needs no layers: the model's inversion and its forward sum, motion, snow."""
    return {
        "inverted": lambda: charbonnier(found.inverted, batch.clean),
        "reconstruction": lambda: losses.reconstruction(
            batch.snowy, batch.clean, found.snow, found.transmission, found.light
        ),
        "flow": lambda: losses.photometric_flow(batch.clean, found.flows, found.pairs),
        "contrast": lambda: losses.snow_contrast(
            found.snow_codes, found.background_codes, batch.videos
        ),
    }


def _layers(found: Analysis, truth: Layers) -> dict[str, Term]:
    """Return the errors of the layers that rendered snow is made of."""
    return {
        "snow": lambda: F.l1_loss(found.snow, truth.S),
        "transmission": lambda: F.l1_loss(found.transmission, truth.T),
        "light": lambda: (found.light - truth.A).abs().mean(),
        "mask": lambda: losses.mask_entropy(found.mask_logits, truth.z),
    }


def _overview(found: Analysis, around: Around | None) -> Tensor | None:
    """Return by how much T is misjudged over the whole pictures, if they are known."""
    if found.overview is None or around is None or around.transmission is None:
        return None
    return F.l1_loss(found.overview, around.transmission)
