"""Judge a frame without a clean one: NIMA and MUSIQ, through pyiqa's network classes.

The networks are pyiqa's (PolyForm-Noncommercial) so that numbers compare with published ones; their
weights (CC-BY-NC-SA-4.0) come from the user's folder through our loader. pyiqa's own constructors
download, and one hangs without a network: none of them is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import shorten

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rvsd_bench.clip import Frame
from rvsd_bench.errors import MissingError
from rvsd_bench.metrics.card import CARDS, MetricCard, require_size
from rvsd_bench.metrics.perceptual import exact_arithmetic
from rvsd_bench.weights.store import WeightsFile, read_tensors

_NIMA_SIDE = 299  # InceptionResNet-v2's input


@dataclass(frozen=True)
class NoReference:
    """A network that maps RGB in [0, 1], float32 [1, 3, H, W], to one number."""

    network: nn.Module
    card: MetricCard
    device: str = "cpu"
    weights: WeightsFile | None = None

    def prepare(self, reference: object = None, coverage: object = None) -> None:
        """Do nothing: there is no reference."""

    def score(self, frame: Frame, prepared: object = None) -> float:
        """Return the network's opinion of a frame."""
        require_size(self.card, frame)
        with torch.inference_mode(), exact_arithmetic():
            levels = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device, torch.float32)
            return float(self.network(levels.div_(255).permute(2, 0, 1).unsqueeze(0)))


def open_no_reference(name: str, file: WeightsFile, device: str) -> NoReference:
    """Build the network of `nima` or `musiq` and load a checked file into it, every tensor."""
    network = NETWORKS[name]()
    try:
        network.load_state_dict(read_tensors(file), strict=True)
    except RuntimeError as error:
        reason = shorten(str(error), 200)
        raise MissingError(f"{file.path} does not fit the network of {name}: {reason}") from error
    return NoReference(network.eval().to(device), CARDS[name], device, file)


def nima() -> nn.Module:
    """Return NIMA on InceptionResNet-v2 with random weights and pinned resizing.

    The shorter side becomes 299 (bilinear, antialiased), then the middle 299 x 299 is looked at:
    of a 16:9 frame the central 56 % of the width. Scores run from 1 to 10 (Talebi and Milanfar,
    IEEE TIP 2018; trained on AVA).
    """
    _stay_offline()
    import timm
    from pyiqa.archs.nima_arch import NIMA

    class Offline(NIMA):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.base_model = timm.create_model(
                "inception_resnet_v2", pretrained=False, features_only=True
            )
            self.global_pool = nn.AdaptiveAvgPool2d(1)
            channels = self.base_model.feature_info.channels()[-1]
            self.classifier = nn.Sequential(
                nn.Flatten(), nn.Dropout(0.0), nn.Linear(channels, 10), nn.Softmax(dim=-1)
            )

        def preprocess(self, x: torch.Tensor) -> torch.Tensor:
            return (middle_square(x, _NIMA_SIDE) - 0.5) / 0.5

    return Offline()


def musiq() -> nn.Module:
    """Return MUSIQ with random weights: scores run from 0 to 100 (Ke et al., ICCV 2021; KonIQ)."""
    _stay_offline()
    from rvsd_bench.metrics.musiq import Musiq

    return Musiq()


NETWORKS: dict[str, Callable[[], nn.Module]] = {"nima": nima, "musiq": musiq}
"""The networks by the name of their metric."""


def middle_square(x: torch.Tensor, side: int) -> torch.Tensor:
    """Shrink or enlarge [1, 3, H, W] until its shorter side is `side`, then cut out the middle."""
    height, width = x.shape[2:]
    short = min(height, width)
    size = (side * height // short, side * width // short)
    x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
    top, left = (round((length - side) / 2) for length in size)
    return x[:, :, top : top + side, left : left + side]


def _stay_offline() -> None:
    """Keep the hub's client, which timm imports, from ever asking; it reads this when imported."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
