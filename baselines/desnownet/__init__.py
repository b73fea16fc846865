"""DesnowNet: find translucent snow and undo it, then paint what opaque snow hid; frame by frame.

Liu et al., "DesnowNet: Context-Aware Deep Network for Snow Removal", IEEE Transactions on Image
Processing 2018 (arXiv 1708.04512). Its authors published no code that we know of.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.baselines.checkpoints import load_weights, read_card
from rvsd_bench.baselines.configuring import config_from_card, configured
from rvsd_bench.baselines.desnownet.config import PRESETS, Config
from rvsd_bench.baselines.info import ModelInfo

if TYPE_CHECKING:
    from rvsd_bench.baselines.desnownet.network import DesnowNet

INFO = ModelInfo(
    name="desnownet",
    half=True,
    about="mask and colour of the snow, then a residual, per frame; presets default and tiny",
    needs="trained weights: desnownet?weights=FILE; without them it is random",
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


def build(preset: str = "default", weights: Path | None = None, **fields: str) -> DesnowNet:
    """Return the network, ready to restore; `fields` are those of `Config`, as option strings.

    With `weights` and neither preset nor fields, the checkpoint's own card says how large the
    network is. Raises InputError for what does not fit together.
    """
    import torch

    from rvsd_bench.baselines.desnownet.network import DesnowNet

    card = {} if weights is None else read_card(weights)
    if weights is not None and preset == "default" and not fields:
        config = config_from_card(Config, card.get("config", {}))
        preset = str(card.get("preset", preset))
    else:
        config = configured(PRESETS, preset, fields, INFO.name)
    # The layers draw weights of their own before ours replace them: leave the global numbers alone.
    with torch.random.fork_rng(devices=[]):
        network = DesnowNet(config)
    facts = {"preset": preset, "config": asdict(config)}
    network.info = replace(INFO, tile=_tile(config), facts=facts)
    if weights is not None:
        network.info = replace(
            network.info,
            weights=weights.name,
            weights_sha256=load_weights(network, weights),
            weights_licence=str(card.get("weights_licence", "")),
            trained_on=str(card.get("trained_on", "unstated")),
            trained=True,
        )
    return network.eval()


def _tile(config: Config) -> int:
    """Return the side of tiles that need about 6 GB: 512 pixels at half of Inception-v4's width.

    Measured in inference on a CPU, that width takes 21 GB per million pixels: every layer works at
    the picture's size.
    """
    return round(512 * math.sqrt(0.5 / config.width))
