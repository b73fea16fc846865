"""Take the median over time: falling snow crosses a pixel in few frames of a still scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

CARD = ModelInfo(
    name="median",
    window=3,
    emits="center",
    licence="Apache-2.0",
    trained_on="nothing",
)


@dataclass(frozen=True)
class Median:
    """The median of each pixel and channel over a window of an odd number of frames."""

    info: ModelInfo = CARD

    def __call__(self, clip: Tensor) -> Tensor:
        """Return the median at the middle frame, the others as they are."""
        restored = clip.clone()
        restored[:, clip.shape[1] // 2] = clip.median(dim=1).values
        return restored


def build(k: int = 3) -> VideoRestorer:
    """Return the median over `k` frames, an odd number; k=1 is the identity."""
    if k < 1 or k % 2 == 0:
        raise InputError(f"median: k must be an odd number of frames, got {k}")
    return Median(replace(CARD, window=k, facts={"k": k}))
