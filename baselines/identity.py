"""Return the input unchanged: the row that every other row must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer

if TYPE_CHECKING:
    from torch import Tensor

CARD = ModelInfo(
    name="identity",
    about="the input unchanged",
    licence="Apache-2.0",
    trained_on="nothing",
)


@dataclass(frozen=True)
class Identity:
    """The restorer that does nothing."""

    info: ModelInfo = CARD

    def __call__(self, clip: Tensor) -> Tensor:
        """Return the clip itself."""
        return clip


def build() -> VideoRestorer:
    """Return the identity."""
    return Identity()
