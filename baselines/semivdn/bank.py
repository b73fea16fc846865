"""Remember the last snow that was rendered, to find the one most like the real snow in a clip.

The text (section 3.4) chooses among "diverse synthetic snow layers"; that a batch's own are joined
by those of the batches before is our reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rvsd_bench.baselines.semivdn.losses import fit_snow, snow_magnitude, ultra_positive
from rvsd_bench.mixtures import Mixture


class Snow(NamedTuple):
    """The snow features of a clip, and how their magnitudes are distributed."""

    features: Tensor
    """F_S', [T, f, H, W], without gradient."""
    mixture: Mixture


def describe(features: Tensor) -> list[Snow]:
    """Fit the mixture of equation 11 to the snow features [B, T, f, H, W] of each clip."""
    return [Snow(clip, fit_snow(snow_magnitude(clip))) for clip in features.detach()]


class SnowBank:
    """The snow of the last `capacity` clips, the oldest first to go.

    Features are kept in bfloat16: at 256x256 and 64 channels a clip of three frames takes 25 MB.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.kept: deque[Snow] = deque(maxlen=capacity)

    def add(self, fresh: Sequence[Snow]) -> None:
        """Remember the snow of further clips."""
        self.kept.extend(Snow(snow.features.bfloat16(), snow.mixture) for snow in fresh)

    def nearest(self, real: Snow, fresh: Sequence[Snow]) -> Tensor:
        """Return the features of the snow, kept or fresh, that is distributed most like `real`."""
        candidates = [*fresh, *self.kept]
        chosen = ultra_positive(real.mixture, [snow.mixture for snow in candidates])
        return candidates[chosen].features.to(real.features)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is kept, as lists of tensors."""
        mixtures = [snow.mixture for snow in self.kept]
        return {
            "features": [snow.features.cpu() for snow in self.kept],
            "weights": [torch.from_numpy(mixture.weights) for mixture in mixtures],
            "means": [torch.from_numpy(mixture.means) for mixture in mixtures],
            "covariances": [torch.from_numpy(mixture.covariances) for mixture in mixtures],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keep what another bank kept, and nothing else."""
        numbers = zip(state["weights"], state["means"], state["covariances"], strict=True)
        mixtures = [Mixture(*(tensor.numpy() for tensor in three)) for three in numbers]
        pairs = zip(state["features"], mixtures, strict=True)
        self.kept = deque((Snow(*pair) for pair in pairs), maxlen=self.capacity)
