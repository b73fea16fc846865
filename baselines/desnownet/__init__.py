"""DesnowNet: find translucent snow and undo it, then paint what opaque snow hid; frame by frame.

Liu et al., "DesnowNet: Context-Aware Deep Network for Snow Removal", IEEE Transactions on Image
Processing 2018 (arXiv 1708.04512). Its authors published no code that we know of.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.baselines.assembling import assemble
from rvsd_bench.baselines.desnownet.config import PRESETS, Config
from rvsd_bench.baselines.info import ModelInfo

if TYPE_CHECKING:
    from rvsd_bench.baselines.desnownet.network import DesnowNet

CARD = ModelInfo(
    name="desnownet",
    half=True,
    about="mask and colour of the snow, then what opaque snow hid; frame by frame",
    needs="trained weights: desnownet?weights=FILE",
    paper="Liu et al.: DesnowNet: Context-Aware Deep Network for Snow Removal, IEEE TIP 2018",
    cite="liu2018desnownet",
    licence="Apache-2.0",
    trained_on="nothing",
    trained=False,
    deviations=(
        "written from the paper's equations as others quote them: not the authors' code, and not "
        "expected to give their numbers",
        "half of Inception-v4's width, 77 channels a branch of the dilation pyramid and stride 1 "
        "throughout are inferred; they give the cost that later papers quote",
        "equation 5 divides by no less than 0.05 in training and 0.001 at test time, and y' is "
        "cut to [0, 1]",
        "the mask is cut to [0, 1] with a gradient that leads back inside",
        "no tanh on the residual: equation 6 has none, though published code does",
    ),
)


SHIPPED = Path(__file__).parent / "weights"
"""Where weights of presets lie that come with the package; none yet."""


def build(preset: str | None = None, weights: Path | None = None, **fields: str) -> DesnowNet:
    """Return the network of a preset (`default`, `tiny`), in eval mode.

    `fields` replace fields of its Config. With `weights` and no preset, that Config is the one in
    the checkpoint's card. Raises InputError for what does not fit together.
    """
    from rvsd_bench.baselines.desnownet.network import DesnowNet

    return assemble(
        CARD,
        PRESETS,
        DesnowNet,
        lambda config: {"tile": _tile(config)},
        preset=preset,
        weights=weights,
        fields=fields,
        shipped=SHIPPED,
    )


def _tile(config: Config) -> int:
    """Return the side of tiles that need about 6 GB: 512 pixels at half of Inception-v4's width.

    Measured in inference on a CPU, that width takes 21 GB per million pixels: every layer works at
    the picture's size.
    """
    return round(512 * math.sqrt(0.5 / config.width))
