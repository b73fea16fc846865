"""Encode frames: a ConvNeXt, and a neck that gathers its stages at a quarter of the size.

Liu et al., "A ConvNet for the 2020s" (CVPR 2022). Parameters carry the names that timm gives them;
`from_public_names` translates the others'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a map [N, C, h, w]."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each place by itself."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """A ConvNeXt block: 7x7 depthwise convolution, norm, and an MLP four times as wide."""

    def __init__(self, width: int, layer_scale: float) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
        )
        self.gamma = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to the same shape."""
        y: Tensor = self.norm(self.conv_dw(x).movedim(1, -1))
        y = self.mlp["fc2"](F.gelu(self.mlp["fc1"](y)))
        return x + (self.gamma * y).movedim(-1, 1)


class Stage(nn.Module):
    """Halve the size (but in the first stage), then apply blocks of one width."""

    def __init__(self, before: int, width: int, depth: int, layer_scale: float) -> None:
        super().__init__()
        self.downsample = nn.Sequential()
        if before != width:
            self.downsample.append(ChannelNorm(before, eps=1e-6))
            self.downsample.append(nn.Conv2d(before, width, 2, stride=2))
        self.blocks = nn.Sequential(*(Block(width, layer_scale) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, h, w] to [N, width, h/2, w/2]; the first stage keeps the size."""
        y: Tensor = self.blocks(self.downsample(x))
        return y


class ConvNeXt(nn.Module):
    """The backbone: maps of every stage, at 1/4, 1/8, 1/16, ... of the size."""

    mean: Tensor
    std: Tensor

    def __init__(self, widths: Sequence[int], depths: Sequence[int], layer_scale: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=1e-6)
        )
        self.stages = nn.ModuleList(
            Stage(before, width, depth, layer_scale)
            for before, width, depth in zip((widths[0], *widths), widths, depths)
        )
        for name, numbers in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(numbers)[:, None, None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                start_small(module)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Map RGB frames [N, 3, H, W] in [0, 1] to the maps of the stages."""
        x = self.stem((frames - self.mean) / self.std)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Neck(nn.Module):
    """Bring the stages to one width, enlarge them to a quarter of the size, average, refine."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.refine = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SELU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return X_k of section 3.2, [N, c, H/4, W/4]."""
        size = maps[0].shape[-2:]
        sides = [lateral(map_) for lateral, map_ in zip(self.laterals, maps)]
        wide = [F.interpolate(side, size, mode="bilinear", align_corners=False) for side in sides]
        mean = torch.stack(wide).mean(dim=0)
        refined: Tensor = self.refine(mean)
        return mean + refined


def start_small(module: nn.Conv2d | nn.Linear) -> None:
    """Start as ConvNeXt and vision transformers do: weights normal, cut at 2, of std 0.02."""
    nn.init.trunc_normal_(module.weight, std=0.02)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


_TORCHVISION_PARTS = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}
_ORIGINAL_PARTS = {"dwconv": "conv_dw", "norm": "norm", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}


def from_public_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the weights of a ConvNeXt classifier to ours, and drop its head.

    Knows timm's names (also those of a feature extractor), torchvision's, and those of the authors.
    A name that none of them has stays, for the audit to complain about.
    """
    renamed = {}
    for name, value in state.items():
        new = _renamed(name)
        if re.match(r"(head|classifier|norm)\b", new):
            continue
        # torchvision keeps the gain as [C, 1, 1].
        renamed[new] = value.flatten() if new.endswith(".gamma") else value
    return renamed


def _renamed(name: str) -> str:
    name = re.sub(r"^(stem|stages)_(\d)\.", r"\1.\2.", name)
    if found := re.fullmatch(r"features\.(\d)\.(\d+)\.(.+)", name):
        place, index, rest = int(found[1]), found[2], found[3]
        if place == 0:
            return f"stem.{index}.{rest}"
        if place % 2 == 0:
            return f"stages.{place // 2}.downsample.{index}.{rest}"
        name = f"stages.{place // 2}.blocks.{index}.{rest}".replace("layer_scale", "gamma")
        return re.sub(r"block\.(\d)", lambda part: _TORCHVISION_PARTS.get(part[1], part[0]), name)
    if found := re.fullmatch(r"downsample_layers\.(\d)\.(\d)\.(.+)", name):
        home = "stem" if found[1] == "0" else f"stages.{found[1]}.downsample"
        return f"{home}.{found[2]}.{found[3]}"
    if found := re.fullmatch(r"stages\.(\d)\.(\d+)\.(\w+)(.*)", name):
        part = _ORIGINAL_PARTS.get(found[3], found[3])
        return f"stages.{found[1]}.blocks.{found[2]}.{part}{found[4]}"
    return name
