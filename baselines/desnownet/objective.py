"""What DesnowNet is trained by: equation 8, whose weights a recipe states.

The residual r has no term of its own: with y' it makes the restored y, and is judged by that. The
paper's term of ||w||² is the optimiser's weight decay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from rvsd_bench.baselines import objective
from rvsd_bench.baselines.desnownet import losses
from rvsd_bench.baselines.desnownet.network import Analysis, DesnowNet
from rvsd_bench.baselines.objective import Stateless, Term, Weights
from rvsd_bench.recipe import bounded
from rvsd_bench.training.batches import Batch, FeatureExtractor

TERMS = objective.TERMS | {"recovered", "restored", "mask", "aberration"}
FEATURE_TERMS = objective.FEATURE_TERMS
UNLABELLED_TERMS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Settings:
    """How the pyramid loss is taken."""

    tau: int = bounded(losses.TAU, 0, 10)
    """The last level: crops need 2^tau pixels a side."""
    reduction: losses.Reduction = "sum_per_sample"
    """`sum_per_sample` as the paper's learning rate wants it, or `mean`."""
    mask: Literal["layers", "pseudo"] = "layers"
    """Where the true mask is from: rendered layers, without which the term is left out; or a guess
    from the pair of frames, where there are none."""


@dataclass(frozen=True)
class DesnowObjective(Stateless):
    """The pyramid losses of what the network finds in a window."""

    settings: Settings
    terms: ClassVar[frozenset[str]] = TERMS

    def __call__(
        self, student: DesnowNet, teacher: DesnowNet, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        """Return the weighed terms; the teacher is not asked."""
        found = student.analyse(batch.snowy)
        terms = objective.image_terms(found.restored, batch, self.features)
        return objective.weighed(self.weights, {**terms, **self._pyramids(found, batch)})

    def _pyramids(self, found: Analysis, batch: Batch) -> dict[str, Term]:
        mask = self._mask(batch)

        def compare(estimate: Tensor, truth: Tensor) -> Tensor:
            tau, reduction = self.settings.tau, self.settings.reduction
            return losses.pyramid_loss(estimate, truth, tau, reduction)

        terms: dict[str, Term] = {
            "recovered": lambda: compare(found.recovered, batch.clean),
            "restored": lambda: compare(found.restored, batch.clean),
        }
        if mask is not None:
            terms["mask"] = lambda: compare(found.mask, mask)
            terms["aberration"] = lambda: compare(
                found.aberration * mask, losses.snow_light(batch.snowy, batch.clean, mask)
            )
        return terms

    def _mask(self, batch: Batch) -> Tensor | None:
        if batch.layers is not None:
            return batch.layers.z
        pseudo = self.settings.mask == "pseudo"
        return losses.pseudo_mask(batch.snowy, batch.clean) if pseudo else None


def build(
    weights: Weights, *, features: FeatureExtractor | None = None, **settings: Any
) -> DesnowObjective:
    """Return the losses; `settings` are fields of `Settings`."""
    chosen = objective.configure(Settings, settings, "desnownet")
    return DesnowObjective(weights, features, chosen)
