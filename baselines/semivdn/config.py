"""Say how large SemiVDN is, and how we read the paper where it is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import bounded


@dataclass(frozen=True)
class Config:
    """The sizes and choices of a SemiVDN; "paper" marks what section 3 or 4.2 of it states.

    What is not marked is our inference. Sizes without a reason of their own are those of other
    published code of the same first author, or of FuseFormer, which the paper cites.
    """

    window: int = bounded(3, 1, 64)
    """Frames that are looked at together, N_f (paper)."""
    widths: tuple[int, ...] = bounded((96, 192, 384, 768), 1, 4096)
    """Channels of the encoder's stages: the smallest published ConvNeXt (paper: "ConvNeXt")."""
    depths: tuple[int, ...] = bounded((3, 3, 9, 3), 1, 64)
    """Blocks of the encoder's stages."""
    layer_scale: float = bounded(1.0, 0.0, 1.0)
    """Where the gain of each encoder block starts. The usual 1e-6 makes every block an identity
    for as long as no pretrained weights are there."""
    channels: int = bounded(128, 1, 4096)
    """Channels c of the feature maps at a quarter of the size."""
    token: int = bounded(512, 1, 8192)
    """Numbers d in a token."""
    heads: int = bounded(4, 1, 64)
    blocks: int = bounded(2, 1, 64)
    """Physics transformer blocks; the components are taken from the last."""
    patch: int = bounded(7, 1, 31)
    """Side of the overlapped patches, odd, in pixels of the quarter-size maps."""
    stride: int = bounded(3, 1, 31)
    """From one patch to the next; below `patch`, so that patches overlap (paper)."""
    fusion: int = bounded(40, 1, 4096)
    """Channels of the maps that the fusion feed-forward network folds its tokens into."""
    expansion: int = bounded(4, 1, 16)
    """Width of an expert's hidden layer, in tokens: the usual one of a transformer's MLP."""
    experts: Literal["temporal", "none"] = "temporal"
    """`none` puts a plain feed-forward network in their place, of one expert's size: M1 of the
    paper's Table 2. The three decoders stay."""
    features: int = bounded(64, 3, 1024)
    """Channels of the full-size maps that equation 6 works on."""
    skip: bool = True
    """Add the encoder's map to the composed one, as FuseFormer does: patches at a twelfth of the
    size do not carry the outlines of flakes."""
    t_min: float = bounded(0.05, 0.0, 1.0)
    """The least transmission: equation 6 divides by it, and its beta = 1e-8 bounds nothing."""
    t_start: float = bounded(3.0, -10.0, 10.0)
    """Logit of the transmission before training: T is about 0.95, as in thin haze."""
    global_light: bool = True
    """Make the atmospheric light one number per frame: the text calls it global, but types it as
    a map."""
    strict_eq6: bool = False
    """Leave T and A without bounds, as the letter of equation 6 does; for ablation."""

    def __post_init__(self) -> None:
        rules = {
            "widths and depths must be equally many, 1 to 6": len(self.widths) == len(self.depths)
            and 1 <= len(self.widths) <= 6,
            "token must be divisible by heads": self.token % self.heads == 0,
            "patch must be odd": self.patch % 2 == 1,
            "stride must not exceed patch": self.stride <= self.patch,
        }
        for rule, holds in rules.items():
            if not holds:
                raise InputError(f"semivdn: {rule}")

    @property
    def multiple(self) -> int:
        """What height and width must be divisible by: the shrinking of the whole encoder."""
        return 2 << len(self.widths)


DEFAULT = Config()
TINY = replace(
    DEFAULT,
    widths=(24, 48, 64),
    depths=(4, 4, 4),
    channels=32,
    token=96,
    blocks=1,
    fusion=8,
    features=16,
)

PRESETS: Mapping[str, Config] = {"default": DEFAULT, "tiny": TINY}
