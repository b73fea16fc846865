"""Remove snow from single pictures in two stages: translucency recovery, residual generation.

Liu et al., "DesnowNet: Context-Aware Deep Network for Snow Removal", IEEE TIP 2018. The numbers of
equations are the paper's. A snowy picture is x = a·z + y·(1 - z) (equation 1) with the scene y, the
snow mask z in [0, 1] and the colour of the snow a, its chromatic aberration.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rvsd_bench.baselines.desnownet.config import Config
from rvsd_bench.baselines.desnownet.inception import Units, inception_v4
from rvsd_bench.baselines.desnownet.recovery import clamp_inwards, recover
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.precision import at_least_float32, full_precision

SEED = 0
"""What the weights of an untrained network are drawn from."""


class Analysis(NamedTuple):
    """All that the network says about a clip; the losses compare it with the truth."""

    restored: Tensor
    """ŷ = y' + r, equation 2: [B, T, 3, H, W]."""
    recovered: Tensor
    """y' of equation 5, the scene behind translucent snow: [B, T, 3, H, W]."""
    mask: Tensor
    """ẑ, the share of snow: [B, T, 1, H, W] in [0, 1]."""
    aberration: Tensor
    """a, the colour of the snow: [B, T, 3, H, W]."""
    residual: Tensor
    """r of equation 6, what opaque snow hid: [B, T, 3, H, W]."""


class DilationPyramid(nn.Module):
    """Join 3x3 convolutions of dilations 2^0 ... 2^gamma (equation 3)."""

    def __init__(self, channels: int, each: int, gamma: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(channels, each, 3, dilation=2**n, padding=2**n) for n in range(gamma + 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, (gamma + 1) · each, H, W]."""
        return torch.cat([level(features) for level in self.levels], dim=1)


class Pyramid(nn.Module):
    """Look at features through kernels of sides 1, 3, ... 2·beta - 1."""

    def __init__(self, channels: int, out: int, beta: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(channels, out, 2 * n + 1, padding=n) for n in range(beta)
        )


class PyramidMaxout(Pyramid):
    """Take the strongest answer over the kernels, M_beta (equation 4), then a PReLU."""

    def __init__(self, channels: int, out: int, beta: int) -> None:
        super().__init__(channels, out, beta)
        self.activation = nn.PReLU(out)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out, H, W]."""
        strongest: Tensor = self.levels[0](features)
        for level in self.levels[1:]:
            strongest = torch.maximum(strongest, level(features))
        activated: Tensor = self.activation(strongest)
        return activated


class PyramidSum(Pyramid):
    """Add the answers of all kernels (equation 6)."""

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, out, H, W]."""
        total: Tensor = self.levels[0](features)
        for level in self.levels[1:]:
            total = total + level(features)
        return total


class Recovery(nn.Module):
    """Estimate mask and aberration, SE and AE, and recover the scene: R_t (equations 4 and 5)."""

    def __init__(self, channels: int, config: Config) -> None:
        super().__init__()
        self.config = config
        self.snow = PyramidMaxout(channels, 1, config.beta)
        self.aberration = PyramidMaxout(channels, 3, config.beta)

    def forward(self, snowy: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y' [N, 3, H, W], z [N, 1, H, W] and a [N, 3, H, W], computed in float32."""
        eps = self.config.eps_train if self.training else self.config.eps_eval
        with full_precision(snowy):
            features = at_least_float32(features)
            raw, a = self.snow(features), self.aberration(features)
            z = torch.sigmoid(raw) if self.config.mask == "sigmoid" else clamp_inwards(raw)
            recovered = recover(snowy, a, z, eps)
        return clamp_inwards(recovered) if self.config.clamp_recovered else recovered, z, a


class DesnowNet(nn.Module):
    """The whole network, for clips: every frame is restored by itself."""

    info: ModelInfo

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        channels = config.dp_channels * (config.gamma + 1)
        self.describe_snow = _descriptor(3, config)
        self.recovery = Recovery(channels, config)
        self.describe_scene = _descriptor(7, config)
        self.residual = PyramidSum(channels, 3, config.beta)
        _initialise(self, config)

    def forward(self, clip: Tensor) -> Tensor:
        """Return the restored clip [B, T, 3, H, W]; values may leave [0, 1] a little."""
        return self.analyse(clip).restored

    def analyse(self, clip: Tensor) -> Analysis:
        """Return everything that the network finds in a clip [B, T, 3, H, W] in [0, 1]."""
        snowy = clip.flatten(0, 1)
        recovered, z, a = self.recovery(snowy, self.describe_snow(snowy))
        r = self.residual(self.describe_scene(torch.cat([recovered, z, a], dim=1)))
        parts = (recovered + r, recovered, z, a, r)
        return Analysis(*(part.unflatten(0, clip.shape[:2]) for part in parts))


def _descriptor(channels: int, config: Config) -> nn.Sequential:
    """Return D_t or D_r: Inception-v4 and the dilation pyramid (equation 3), not shared."""
    units = Units(config.width, config.norm, config.activation)
    return nn.Sequential(
        inception_v4(units, channels, config.blocks),
        DilationPyramid(units.channels(1536), config.dp_channels, config.gamma),
    )


def _initialise(network: DesnowNet, config: Config) -> None:
    """Draw the weights of all convolutions from Xavier's normal distribution, always the same."""
    generator = torch.Generator().manual_seed(SEED)
    backbones = (network.describe_snow[0], network.describe_scene[0])
    inside = {id(module) for backbone in backbones for module in backbone.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            gain = config.backbone_gain if id(module) in inside else config.head_gain
            nn.init.xavier_normal_(module.weight, gain, generator)
            if module.bias is not None:
                nn.init.constant_(module.bias, config.bias_init)
    for level in network.recovery.snow.levels:
        nn.init.constant_(level.get_parameter("bias"), config.mask_bias)
