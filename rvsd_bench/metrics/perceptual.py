"""Measure perceptual distance to a clean frame: LPIPS v0.1 on AlexNet, in plain torch.

Written from the paper (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018); no torchvision is needed. The clean frame's features are computed
once for all models, and nearly all the rest is five convolutions in channels-last order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.metrics.card import CARDS, MetricCard, require_same_size, require_size
from rvsd_bench.weights.store import WeightsFile, read_tensors

# Index among torchvision's `features`, stride, padding, and whether a 3 x 3 maximum comes before.
_CONVOLUTIONS = (
    (0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False),
)  # fmt: skip
# LPIPS' own normalisation of RGB in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

_PATTERN_DISTANCE = 0.30638
"""The distance of the two frames of `_pattern`, by the trained weights."""


@dataclass(frozen=True)
class Features:
    """A frame's features: five of [1, channels, height, width], unit vectors over channels."""

    size: tuple[int, int]
    layers: list[torch.Tensor]


@dataclass(frozen=True)
class Lpips:
    """LPIPS v0.1 (AlexNet) at full resolution; 0 for equal frames.

    `channels` is the order in which the network is fed. Its weights expect `rgb`; `bgr` repeats
    published numbers of scripts that handed on OpenCV's order.
    """

    tensors: Mapping[str, torch.Tensor]
    channels: Literal["rgb", "bgr"] = "rgb"
    device: str = "cpu"
    weights: WeightsFile | None = None
    card: MetricCard = CARDS["lpips"]

    def __post_init__(self) -> None:
        if self.channels not in ("rgb", "bgr"):
            raise InputError(f"lpips: channels must be 'rgb' or 'bgr', got {self.channels!r}")

    def prepare(self, reference: Frame, coverage: object = None) -> Features:
        """Return the features of the clean frame."""
        require_size(self.card, reference)
        size = (reference.shape[0], reference.shape[1])
        with torch.inference_mode(), exact_arithmetic():
            return Features(size, [_unit(layer) for layer in self._trunk(reference)])

    def score(self, frame: Frame, prepared: Features) -> float:
        """Return the distance of a frame."""
        require_same_size(self.card, frame, prepared.size)
        distances = []
        with torch.inference_mode(), exact_arithmetic():
            for index, layer in enumerate(self._trunk(frame)):
                squares = _unit(layer).sub_(prepared.layers[index]).square_()
                weighted = F.conv2d(squares, self.tensors[f"lin{index}.weight"])
                distances.append(float(weighted.mean(dtype=torch.float64)))
        return math.fsum(distances)

    def distance(self, first: Features, second: Features) -> float:
        """Return the distance of two frames whose features are known."""
        distances = []
        with torch.inference_mode(), exact_arithmetic():
            for index, (one, other) in enumerate(zip(first.layers, second.layers)):
                weighted = F.conv2d((one - other).square_(), self.tensors[f"lin{index}.weight"])
                distances.append(float(weighted.mean(dtype=torch.float64)))
        return math.fsum(distances)

    def _trunk(self, frame: Frame) -> list[torch.Tensor]:
        """Return AlexNet's five activations of a frame."""
        ordered = np.ascontiguousarray(frame if self.channels == "rgb" else frame[..., ::-1])
        scale = torch.tensor(_SCALE, device=self.device)
        shift = torch.tensor(_SHIFT, device=self.device)
        values = torch.from_numpy(ordered).to(self.device, torch.float32)
        # [H, W, 3] seen as [1, 3, H, W] already lies in channels-last order.
        x = ((values / 127.5 - 1 - shift) / scale).permute(2, 0, 1).unsqueeze(0)
        layers = []
        for index, stride, padding, pooled in _CONVOLUTIONS:
            x = F.max_pool2d(x, 3, 2) if pooled else x
            kernel, bias = (self.tensors[f"net.features.{index}.{k}"] for k in ("weight", "bias"))
            x = F.conv2d(x, kernel, bias, stride, padding).relu_()
            layers.append(x)
        return layers


def open_lpips(
    file: WeightsFile, channels: Literal["rgb", "bgr"] = "rgb", device: str = "cpu"
) -> Lpips:
    """Load LPIPS from a checked file and make sure that this machine computes it right."""
    tensors = {name: _placed(tensor, device) for name, tensor in read_tensors(file).items()}
    first, second = _pattern()
    tester = Lpips(tensors, device=device)
    distance = tester.score(second, tester.prepare(first))
    if not abs(distance - _PATTERN_DISTANCE) < 1e-4:
        raise MissingError(
            f"lpips computes {distance:.5f} on {device} for its test pattern instead of "
            f"{_PATTERN_DISTANCE:.5f}: this torch {torch.__version__} cannot be trusted with it"
        )
    return Lpips(tensors, channels, device, file)


def _placed(tensor: torch.Tensor, device: str) -> torch.Tensor:
    order = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.to(device).contiguous(memory_format=order)


def _pattern() -> tuple[Frame, Frame]:
    """Return two frames of 64 x 64 that differ in colour and structure."""
    y, x = np.mgrid[:64, :64]
    first = np.stack([4 * x, 4 * y, 2 * (x + y)], axis=2)
    second = first ^ (((x // 8 + y // 8) % 2) * 32)[..., None]
    return first.astype(np.uint8), second.astype(np.uint8)


def _unit(features: torch.Tensor) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (length + 1e-10)


def exact_arithmetic() -> AbstractContextManager[None]:
    """Keep TensorFloat-32 and cuDNN's search for other algorithms out of the numbers."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
