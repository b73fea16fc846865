"""Say how large DesnowNet is, and how we read the paper where it is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rvsd_bench.recipe import bounded


@dataclass(frozen=True)
class Config:
    """The sizes and choices of a DesnowNet; "paper" marks what its equations state.

    What is not marked is our inference, or the practice of an implementation that others published.
    """

    width: float = bounded(0.5, 1 / 32, 1)
    """Channels as a share of Inception-v4's. With a half, and `dp_channels` of 77, the network has
    26.15 M parameters and 1709.8 GMAC at 256x256, which is what later papers quote for DesnowNet;
    the whole width would give it 136 M. Multiples of 1/32 keep the blocks' proportions."""
    blocks: tuple[int, int, int] = bounded((4, 7, 3), 0, 16)
    """How many blocks A, B and C, as in Inception-v4 (paper: the backbone)."""
    dp_channels: int = bounded(77, 1, 384)
    """Channels of each branch of the dilation pyramid; see `width`."""
    gamma: int = bounded(4, 0, 6)
    """The last level of the dilation pyramid: dilations 2^0 to 2^gamma (paper, eq. 3)."""
    beta: int = bounded(4, 1, 8)
    """How many kernels the pyramid maxout and sum have: 1, 3, ... 2 beta - 1 (paper, eqs. 4, 6)."""
    norm: bool = True
    """Batch normalisation after every convolution of the backbone, as Inception-v4 has; without
    it these convolutions have biases instead."""
    activation: Literal["relu", "prelu"] = "relu"
    """The backbone's, as in Inception-v4."""
    mask: Literal["clamp", "sigmoid"] = "clamp"
    """How the mask is kept in [0, 1]: eq. 1 needs that, and eq. 4 does not give it. Cutting it
    leaves snow-free pixels at exactly 0, where eq. 5 returns the input."""
    mask_bias: float = bounded(0.05, -1, 1)
    """Where the mask starts: one that starts below 0 everywhere would be slow to come back."""
    bias_init: float = bounded(0.0, -1, 1)
    """Where the other biases start: published code sets 0.2 and overwrites it with 0."""
    backbone_gain: float = bounded(1.0, 0.1, 4)
    """Factor on the deviation of Xavier's normal initialisation, for the backbone."""
    head_gain: float = bounded(0.4, 0.01, 4)
    """The same for both pyramids, the maxouts and the sum. Published code applies Xavier's rule to
    the backbone alone and leaves these at about 0.4 of it; with 1 the first mask is all snow."""
    eps_train: float = bounded(0.05, 1e-6, 0.5)
    """The least 1 - z that eq. 5 divides by in training: its gradient by z grows as 1/(1 - z)^2,
    and this bounds it by max(400 |x - a|, 20 a)."""
    eps_eval: float = bounded(1e-3, 1e-6, 0.5)
    """The same at test time, where only the range of y' is at stake."""
    clamp_recovered: bool = True
    """Cut y' to [0, 1], since it is a picture: next to z = 1 eq. 5 leaves that range by far."""


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "default": Config(),
        "tiny": Config(
            width=1 / 16, blocks=(1, 1, 1), dp_channels=8, norm=False, backbone_gain=1.4
        ),
    }
)
"""`default` is the paper's network; `tiny` runs on a CPU and is good for trying things out.

Batches of `tiny` are small, so it goes without batch normalisation; the gain then keeps the signal
from fading through rectifiers."""
