"""Hold every choice of the reconstruction that the paper's public part does not make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import bounded


@dataclass(frozen=True)
class Config:
    """The shape of an SVDNet. All numbers are inferred; the reason stands under each."""

    channels: int = bounded(96, 8, 256)
    """Of all features. 96 and the block counts below give the cost read off a published chart."""
    unshuffle: int = bounded(1, 1, 4)
    """Pixels of a square that become channels before the stem. 2 makes a step four times cheaper
    and loses nothing: 12 numbers of a square fit into the channels of any preset."""
    stem_blocks: int = bounded(1, 0, 4)
    """Residual blocks at the finest scale: the physics heads need sharp features."""
    halvings: int = bounded(2, 1, 3)
    """Strided convolutions of the encoder. Aggregation works at a quarter of the frame's size, as
    the later network of the same group does."""
    encoder_blocks: int = bounded(5, 0, 30)
    """As many as in the usual feature extractor of video restorers."""
    trunk_blocks: int = bounded(12, 1, 60)
    """Residual blocks after fusion: they take what is left of the cost on the chart."""
    fuse_kernel: Literal[1, 3] = 3
    """Of the convolution that fuses frame, neighbours and snow."""
    merge_blocks: int = bounded(0, 0, 4)
    """Residual blocks after the trunk has met the stem again, for all heads alike: where blocks
    are few, S and T need them as much as the correction does."""
    refine_blocks: int = bounded(1, 0, 4)
    """Residual blocks of the correction that is added to the inverted model."""
    residual_gain: float = bounded(0.1, 0, 1)
    """Of the initial weights in residual branches: there is no normalisation to tame them."""
    queries: int = bounded(16, 1, 256)
    """Learned snow queries; they stand for kinds of flakes, of which there are few."""
    heads: int = bounded(4, 1, 16)
    """Of the attention with which queries look at a frame; the usual number."""
    embedding: int = bounded(32, 4, 256)
    """Numbers of the descriptor that the contrastive loss compares."""
    window: int = bounded(3, 1, 15)
    """Frames per window: the later network of the group uses 3 to compare with this one."""
    reach: int = bounded(2, 0, 7)
    """Neighbours on either side that a frame looks at, so that every frame of a window sees all
    others and long clips cost no more per frame."""
    flow: Literal["spynet", "dis", "none"] = "spynet"
    """Alignment of neighbours. SPyNet is what the group's code uses; it starts as no motion, for
    pretrained weights are not to be had. `dis` is OpenCV's, without weights and gradients."""
    flow_levels: int = bounded(6, 1, 8)
    """Scales of SPyNet, as published; small frames use fewer."""
    snow_penalty: float = bounded(4.0, 0, 50)
    """By how much a neighbour's logit falls where it is snow; learning scales it. At 4 a flake has
    1/55 of the weight of a clear pixel that fits as well."""
    carry_detail: bool = False
    """Whether the neighbours' stem features are aggregated as well, by the same weights: what is
    behind a flake at full sharpness. `compare_neighbours` shows the same for less."""
    compare_neighbours: bool = False
    """Whether the heads see by how much each pixel differs from the aligned frame before and after:
    it is what a flake is first known by, and a small network has no channels to keep it in."""
    overview: int = bounded(0, 0, 128)
    """Rows of the shrunken frame in which T and A are looked for; 0 looks where the snow is. Haze
    is wide, and training on crops a small network sees too little of it otherwise."""
    overview_channels: int = bounded(32, 8, 256)
    """Of the features of that picture."""
    least_transmission: float = bounded(0.05, 1e-3, 0.5)
    """T never falls below it, so that the inversion divides by no less; half of what dehazing by
    the dark channel allows, for T is learned here."""
    strength: float = bounded(1.0, 0, 1)
    """Share of the haze that is taken away: T becomes 1 − strength·(1 − T). T of footage that a
    small network has never seen is uncertain, and thick haze magnifies every error of it; trained
    weights may say in their card what did best on clips that they did not learn from."""
    start_transmission: float = bounded(0.95, 0.1, 0.999)
    """T of the untrained network: almost no haze, so that it starts near the identity."""
    start_light: float = bounded(0.8, 0.01, 0.99)
    """A of the untrained network: the light of a grey sky."""
    start_mask: float = bounded(0.1, 0.001, 0.5)
    """Of the untrained network, everywhere: flakes cover the smaller part of a frame."""
    overshoot: float = bounded(1.0, 0, 10)
    """How far the inverted frame may leave [0, 1], so that one bad T cannot rule a loss."""

    def __post_init__(self) -> None:
        if self.channels % self.heads:
            raise InputError(
                f"svdnet: {self.heads} heads do not divide {self.channels} channels evenly"
            )
        if self.window % 2 == 0:
            raise InputError(f"svdnet: the window must be odd, got {self.window}")
        if self.start_transmission <= self.least_transmission:
            raise InputError("svdnet: start_transmission must be above least_transmission")

    @property
    def stride(self) -> int:
        """Pixels of the frame per feature at which snow is looked for and neighbours are met."""
        return int(self.unshuffle * 2**self.halvings)


PRESETS: Mapping[str, Config] = {
    "default": Config(),
    "light": Config(channels=64, trunk_blocks=10),
    "lite": Config(
        channels=24,
        unshuffle=2,
        stem_blocks=0,
        halvings=1,
        encoder_blocks=1,
        trunk_blocks=3,
        merge_blocks=1,
        refine_blocks=0,
        queries=8,
        flow="dis",
        compare_neighbours=True,
        overview=48,
    ),
}
