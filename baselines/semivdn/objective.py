"""What SemiVDN is trained by: L_sup + mu(r)·L_un of section 3.3, and L_DCR of section 3.4.

Without unlabelled clips only L_sup is left, and what is trained is M2 of the paper's Table 2. The
teacher is the engine's moving average. mu(r) is inside the terms of L_un that are returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from rvsd_bench.baselines import objective
from rvsd_bench.baselines.losses import charbonnier, total_variation
from rvsd_bench.baselines.objective import Term, Weights
from rvsd_bench.baselines.semivdn import losses
from rvsd_bench.baselines.semivdn.bank import SnowBank, describe
from rvsd_bench.baselines.semivdn.network import Analysis, SemiVDN
from rvsd_bench.recipe import bounded
from rvsd_bench.training.batches import Batch, FeatureExtractor, Layers, Unlabelled

UNLABELLED_TERMS = frozenset(
    {"consistency", "perceptual_contrast", "dark_channel", "variation", "distribution"}
)
EXPERT_TERMS = frozenset({"snow", "transmission", "light"})
"""Not the paper's: they tell the decoders what the layers of rendered snow are."""
TERMS = objective.TERMS | UNLABELLED_TERMS | EXPERT_TERMS
FEATURE_TERMS = objective.FEATURE_TERMS | {"perceptual_contrast"}


@dataclass(frozen=True)
class Settings:
    """What the paper leaves open."""

    mu_max: float = bounded(1.0, 0, 100)
    """The weight of L_un at the end (equation 10)."""
    bank: int = bounded(32, 0, 4096)
    """Clips whose snow is remembered for the choice of the ultra-positive; see `SnowBank`."""


class SemivdnObjective:
    """The losses of a labelled and, if there is one, an unlabelled window."""

    terms: ClassVar[frozenset[str]] = TERMS

    def __init__(
        self, weights: Weights, features: FeatureExtractor | None, settings: Settings
    ) -> None:
        self.weights, self.features, self.settings = weights, features, settings
        self.bank = SnowBank(settings.bank)

    def __call__(
        self, student: SemiVDN, teacher: SemiVDN, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        """Return the weighed terms; those of the unlabelled clips are multiplied by mu(step)."""
        found = student.analyse(batch.snowy)
        terms = objective.image_terms(found.restored, batch, self.features)
        if batch.layers is not None:
            terms |= _experts(student, found, batch.layers)
        known = objective.weighed(self.weights, terms)
        real = batch.unlabelled
        if real is None or not any(self.weights.get(name, 0) > 0 for name in UNLABELLED_TERMS):
            return known
        mu = losses.warm_up(step, steps, self.settings.mu_max)
        unknown = objective.weighed(self.weights, self._unlabelled(student, teacher, real, found))
        return known | {name: mu * term for name, term in unknown.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the snow that is remembered."""
        return {"bank": self.bank.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the snow that was remembered."""
        self.bank.load_state_dict(state["bank"])

    def _unlabelled(
        self, student: SemiVDN, teacher: SemiVDN, real: Unlabelled, labelled: Analysis
    ) -> dict[str, Term]:
        """Return the terms of equation 9 and L_DCR."""
        ours = student.analyse(real.strong)
        with torch.no_grad():
            theirs = teacher.analyse(real.weak)
        # The priors are of pictures: what leaves [0, 1] would be darker than black for free.
        picture = ours.restored.clamp(0, 1)
        return {
            "consistency": lambda: charbonnier(ours.restored, theirs.restored),
            "perceptual_contrast": lambda: self._contrast(ours, theirs, real),
            "dark_channel": lambda: losses.dark_channel_prior(picture),
            "variation": lambda: total_variation(picture),
            "distribution": lambda: self._distribution(ours, theirs, labelled),
        }

    def _contrast(self, ours: Analysis, theirs: Analysis, real: Unlabelled) -> Tensor | None:
        if self.features is None:
            return None
        with torch.no_grad():
            teacher = self.features(theirs.restored.flatten(0, 1))
            degraded = self.features(real.strong.flatten(0, 1))
        student = self.features(ours.restored.flatten(0, 1))
        return losses.perceptual_contrast(student, teacher, degraded)

    def _distribution(self, ours: Analysis, theirs: Analysis, labelled: Analysis) -> Tensor:
        """Return L_DCR; each real clip meets a labelled one, in turn, and remember their snow."""
        both = labelled.layers.snow.mean() + ours.layers.snow.mean()
        if not both.isfinite():
            return both  # the step will be passed over; the bank forgets it too
        fresh, found = describe(labelled.layers.snow), describe(ours.layers.snow)
        ultra = torch.stack([self.bank.nearest(snow, fresh) for snow in found])
        self.bank.add(fresh)
        turn = [n % len(labelled.background) for n in range(len(found))]
        return losses.distribution_contrast(
            teacher_background=theirs.background,
            student_background=ours.background,
            student_snow=ours.layers.snow,
            labelled_background=labelled.background[turn],
            ultra_snow=ultra,
            augmented_snow=theirs.layers.snow.flip(-1),
        )


def build(
    weights: Weights, *, features: FeatureExtractor | None = None, **settings: Any
) -> SemivdnObjective:
    """Return the losses; `settings` are fields of `Settings`."""
    return SemivdnObjective(weights, features, objective.configure(Settings, settings, "semivdn"))


def _experts(student: SemiVDN, found: Analysis, truth: Layers) -> dict[str, Term]:
    """Return how far the decoded components are from the layers of rendered snow.

    They are features: snow is seen through the layer that turns features into pictures, the
    transmission by the mean of its channels, and the light is grey.
    """
    snow, transmission, light = found.layers

    def shown() -> Tensor:
        return F.conv2d(snow.flatten(0, 1), student.project.weight, padding=1).view_as(truth.S)

    return {
        "snow": lambda: F.l1_loss(shown(), truth.S),
        "transmission": lambda: F.l1_loss(transmission.mean(-3, keepdim=True), truth.T),
        "light": lambda: (light - truth.A.mean(-3, keepdim=True)).abs().mean(),
    }
