"""The small parts that the network is put together from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.1
"""The slope of every rectifier below zero, the usual one in video restoration."""


def conv(narrow: int, wide: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size, or divides it by the stride."""
    return nn.Conv2d(narrow, wide, kernel, stride=stride, padding=kernel // 2)


def leaky() -> nn.LeakyReLU:
    """Return the rectifier of the network."""
    return nn.LeakyReLU(LEAK, inplace=True)


class ResidualBlock(nn.Module):
    """Two convolutions with a leaky rectifier between, added to their input; no normalisation."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)
        self.gain = gain

    def forward(self, features: Tensor) -> Tensor:
        """Return features [N, C, h, w] of the same shape."""
        change: Tensor = self.second(F.leaky_relu(self.first(features), LEAK, inplace=True))
        return features + change


class Head(nn.Module):
    """A convolution to a picture at the frame's size; it starts as one value everywhere."""

    def __init__(self, channels: int, colours: int, shuffle: int = 1, start: float = 0.0) -> None:
        super().__init__()
        self.conv = conv(channels, colours * shuffle**2)
        self.shuffle, self.start = shuffle, start

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, colours, h·shuffle, w·shuffle] of features [N, C, h, w]."""
        return F.pixel_shuffle(self.conv(features), self.shuffle)


def initialise(network: nn.Module) -> None:
    """Set the start: He's normal weights, weak residual branches, heads that say what they should.

    Only layers that end the network start at zero, never two in a row: a product of two zeros has
    no gradient.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=LEAK)
            zero(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            with torch.no_grad():
                module.second.weight.mul_(module.gain)
        elif isinstance(module, Head):
            zero(module.conv.weight)
            zero(module.conv.bias, module.start)


def zero(parameter: Tensor | None, value: float = 0.0) -> None:
    """Set a parameter to zero, or to another value."""
    if parameter is not None:
        nn.init.constant_(parameter, value)


def logit(share: float) -> float:
    """Return the number whose sigmoid is `share`."""
    return math.log(share / (1 - share))


def fold(tensor: Tensor) -> Tensor:
    """Return [B, T, ...] as [B·T, ...]."""
    return tensor.flatten(0, 1)


def unfold(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return [B·T, ...] as [B, T, ...], `shape` being B and T."""
    return tensor.reshape(*shape, *tensor.shape[1:])
