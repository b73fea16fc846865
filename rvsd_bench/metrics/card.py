"""Describe each metric: what it measures, in which unit, what it needs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from rvsd_bench.weights.store import WeightsFile


@dataclass(frozen=True)
class MetricCard:
    """What a reader of a table has to know about one metric."""

    name: str
    title: str
    kind: Literal["fr", "nr"]
    """fr: compares with a clean reference; nr: looks at the frame alone."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    unit: str
    decimals: int
    """Digits after the point that a table shows; files keep every digit."""
    minimum_px: int
    """The shortest side that the metric can score."""
    licence: str
    """Licence of the code and, if any, of the weights."""
    paper: str
    weights: str | None = None
    """Key of the weights file in `weights.toml`."""
    packages: tuple[str, ...] = ()
    """Optional packages that must be installed."""
    backends: tuple[str, ...] = ("native",)
    params: tuple[str, ...] = ()
    """The choices that a protocol can make."""
    coverage: bool = False
    """Whether `prepare` needs the snow's coverage of the frame."""
    temporal: bool = False
    """Whether it compares two frames in succession: see `metrics.temporal`."""


class Metric(Protocol):
    """Scores frames. `prepare` does the reference's share of the work once for all models."""

    @property
    def card(self) -> MetricCard:
        """The description of the metric."""

    @property
    def weights(self) -> WeightsFile | None:
        """The weights file in use, for the record; None where there is none."""

    def prepare(self, reference: Frame, coverage: NDArray[np.floating] | None = None) -> Any:
        """Return what `score` needs of a clean frame; `coverage` is float [H, W] in [0, 1]."""

    def score(self, frame: Frame, prepared: Any) -> float:
        """Return the score of a frame; nan where it is undefined (an empty region)."""


_OURS = "Apache-2.0"
_PYIQA = "code PolyForm-Noncommercial-1.0.0 (pyiqa), weights CC-BY-NC-SA-4.0: non-commercial"
_LPIPS = "Apache-2.0, weights BSD-2-Clause (LPIPS) and BSD-3-Clause (torchvision)"
_TEMPORAL_PAPER = "Chu et al., ACM TOG 39(4), 2020"
_SSIM_PAPER = "Wang et al., IEEE TIP 13(4), 2004"

_CARDS = (
    MetricCard(
        "psnr", "peak signal-to-noise ratio", "fr", "higher", "dB", 2, 1, _OURS,
        "mean squared error over RGB in [0, 1], 80 dB at most", backends=("native", "pyiqa"),
        params=("color", "eps"),
    ),
    MetricCard(
        "ssim", "structural similarity", "fr", "higher", "", 4, 11, _OURS, _SSIM_PAPER,
        backends=("native", "pyiqa"), params=("color", "clamp"),
    ),
    MetricCard(
        "lpips", "learned perceptual distance (AlexNet, v0.1)", "fr", "lower", "", 4, 31,
        _LPIPS, "Zhang et al., CVPR 2018", weights="lpips", backends=("native", "pyiqa"),
        params=("channels",),
    ),
    MetricCard(
        "psnr_snow", "PSNR where snow covers the clean frame", "fr", "higher", "dB", 2, 1, _OURS,
        "as psnr, over the pixels whose coverage is at least the threshold", coverage=True,
        params=("threshold", "eps"),
    ),
    MetricCard(
        "psnr_clear", "PSNR where no snow covers the clean frame", "fr", "higher", "dB", 2, 1,
        _OURS, "as psnr, over the pixels whose coverage is below the threshold", coverage=True,
        params=("threshold", "eps"),
    ),
    MetricCard(
        "warp_err", "warping error", "fr", "lower", "", 5, 1, _OURS,
        "each frame against the one before it, moved along the clean clip's optical flow; "
        "a blur scores below the clean clip: Lai et al., ECCV 2018",
        temporal=True,
    ),
    MetricCard(
        "tof", "tOF, the distance of the restored clip's optical flow to the clean clip's", "fr",
        "lower", "px", 3, 1, _OURS, _TEMPORAL_PAPER, temporal=True,
    ),
    MetricCard(
        "tlp", "tLP, how far LPIPS from frame to frame is from the clean clip's", "fr", "lower",
        "", 4, 31, _LPIPS, _TEMPORAL_PAPER, weights="lpips", params=("channels",), temporal=True,
    ),
    MetricCard(
        "flicker", "mean absolute difference of the changes from frame to frame", "fr", "lower",
        "", 4, 1, _OURS, "over RGB in [0, 1], against the changes of the clean clip",
        temporal=True,
    ),
    MetricCard(
        "nima", "neural image assessment (InceptionResNet-v2, AVA)", "nr", "higher", "", 3, 32,
        _PYIQA, "Talebi and Milanfar, IEEE TIP 27(8), 2018", weights="nima",
        packages=("pyiqa", "timm"), backends=("pyiqa",),
    ),
    MetricCard(
        "musiq", "multi-scale image quality transformer (KonIQ-10k)", "nr", "higher", "", 2, 32,
        _PYIQA, "Ke et al., ICCV 2021", weights="musiq",
        packages=("pyiqa",), backends=("pyiqa",),
    ),
)  # fmt: skip

CARDS: Mapping[str, MetricCard] = MappingProxyType({card.name: card for card in _CARDS})
"""The metrics that come with the package, by name."""


def require_size(card: MetricCard, frame: Frame) -> None:
    """Refuse a frame that is too small for a metric, naming both sizes."""
    height, width = frame.shape[:2]
    if min(height, width) < card.minimum_px:
        raise InputError(
            f"metric {card.name!r} needs frames of at least {card.minimum_px} x {card.minimum_px} "
            f"pixels, got {width} x {height}"
        )


def require_same_size(card: MetricCard, frame: Frame, size: tuple[int, ...]) -> None:
    """Refuse a frame that is not as large as its reference."""
    if frame.shape[:2] != size[:2]:
        raise InputError(
            f"metric {card.name!r}: the frame is {frame.shape[1]} x {frame.shape[0]}, "
            f"its reference {size[1]} x {size[0]}; frames are never resized to fit"
        )
