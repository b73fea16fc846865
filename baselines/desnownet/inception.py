"""Build Inception-v4 as a descriptor: every stride 1, every picture padded, no classifier.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
AAAI 2017, figures 3 to 9. DesnowNet computes equation 5 at each pixel, so that the features must
keep the picture's size: no convolution or pooling skips pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

Kernel = int | tuple[int, int]


class Branches(nn.Module):
    """Run branches side by side on one input and join their channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, the sum of the branches' channels, H, W]."""
        return torch.cat([branch(features) for branch in self.branches], dim=1)


@dataclass(frozen=True)
class Units:
    """Make the convolutions of a network of some width, in the numbers of the whole one."""

    width: float
    norm: bool
    activation: str

    def channels(self, whole: int) -> int:
        """Return how many of Inception-v4's channels are left at this width."""
        return max(1, round(whole * self.width))

    def image(self, channels: int, out: int) -> nn.Sequential:
        """Return the first convolution, 3x3; `channels` are a picture's and are not scaled."""
        return self._unit(channels, self.channels(out), 3)

    def chain(self, channels: int, *steps: tuple[int, Kernel]) -> nn.Sequential:
        """Return convolutions in a row, each given by its channels out and its kernel (h, w)."""
        units = []
        for out, kernel in steps:
            units.append(self._unit(self.channels(channels), self.channels(out), kernel))
            channels = out
        return units[0] if len(units) == 1 else nn.Sequential(*units)

    def _unit(self, channels: int, out: int, kernel: Kernel) -> nn.Sequential:
        conv = nn.Conv2d(channels, out, kernel, padding="same", bias=not self.norm)
        norm = [nn.BatchNorm2d(out, eps=1e-3)] if self.norm else []
        act = nn.PReLU(out) if self.activation == "prelu" else nn.ReLU(inplace=True)
        return nn.Sequential(conv, *norm, act)


def inception_v4(units: Units, channels: int, blocks: tuple[int, int, int]) -> nn.Sequential:
    """Return the backbone Phi of equation 3: [N, channels, H, W] to [N, 1536 · width, H, W]."""
    a, b, c = blocks
    return nn.Sequential(
        *_stem(units, channels),
        *(_block_a(units) for _ in range(a)),
        _reduction_a(units),
        *(_block_b(units) for _ in range(b)),
        _reduction_b(units),
        *(_block_c(units) for _ in range(c)),
    )


def _stem(units: Units, channels: int) -> list[nn.Module]:
    chain = units.chain
    return [
        units.image(channels, 32),
        chain(32, (32, 3)),
        chain(32, (64, 3)),
        Branches(_max(), chain(64, (96, 3))),
        Branches(
            chain(160, (64, 1), (96, 3)),
            chain(160, (64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3)),
        ),
        Branches(chain(192, (192, 3)), _max()),
    ]


def _block_a(units: Units) -> Branches:
    chain = units.chain
    return Branches(
        chain(384, (96, 1)),
        chain(384, (64, 1), (96, 3)),
        chain(384, (64, 1), (96, 3), (96, 3)),
        nn.Sequential(_mean(), chain(384, (96, 1))),
    )


def _reduction_a(units: Units) -> Branches:
    chain = units.chain
    return Branches(chain(384, (384, 3)), chain(384, (192, 1), (224, 3), (256, 3)), _max())


def _block_b(units: Units) -> Branches:
    chain = units.chain
    return Branches(
        chain(1024, (384, 1)),
        chain(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
        chain(1024, (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
        nn.Sequential(_mean(), chain(1024, (128, 1))),
    )


def _reduction_b(units: Units) -> Branches:
    chain = units.chain
    return Branches(
        chain(1024, (192, 1), (192, 3)),
        chain(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3)),
        _max(),
    )


def _block_c(units: Units) -> Branches:
    chain = units.chain

    def cross(channels: int) -> Branches:
        return Branches(chain(channels, (256, (1, 3))), chain(channels, (256, (3, 1))))

    return Branches(
        chain(1536, (256, 1)),
        nn.Sequential(chain(1536, (384, 1)), cross(384)),
        nn.Sequential(chain(1536, (384, 1), (448, (3, 1)), (512, (1, 3))), cross(512)),
        nn.Sequential(_mean(), chain(1536, (256, 1))),
    )


def _max() -> nn.Module:
    return nn.MaxPool2d(3, stride=1, padding=1)


def _mean() -> nn.Module:
    # Means over what lies inside the picture only: padding must not darken its rim.
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
