"""SVDNet, the video desnowing network of RVSD, reconstructed.

Importing this package loads no torch, so that the card can be listed fast.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.baselines.checkpoints import load_weights, read_card
from rvsd_bench.baselines.configuring import config_from_card, configured
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.svdnet.config import PRESETS, Config

if TYPE_CHECKING:
    from rvsd_bench.baselines.svdnet.network import SVDNet

SHIPPED = Path(__file__).parent / "weights"
"""Where weights of presets lie that come with the package: `lite.safetensors`."""

SEED = 2023
"""Of the weights of a network that nobody trained; any number would do."""

INFO = ModelInfo(
    name="svdnet",
    window=3,
    stride=1,
    staged=True,
    multiple=4,
    min_size=32,
    tiling="discouraged",
    half=True,
    about="flow, snow queries and a look past the flakes; presets default, light and lite",
    needs="trained weights: svdnet?weights=FILE; without them it is random",
    paper="Chen et al.: Snow Removal in Video: A New Dataset and A Novel Method, ICCV 2023",
    cite="chen2023desnow",
    licence="Apache-2.0",
    trained_on="nothing",
    trained=False,
    deviations=(
        "reconstruction: the paper's body was not available; every width inferred",
        "stated: eq. 1, flow and snow features guiding the aggregation, S, T and A decoupled by "
        "convolutions, the contrastive idea; all else is a field of Config with its reason",
        "SPyNet starts without motion instead of pretrained weights",
        "T >= 0.05, and the inverted frame is clamped to [-1, 2]",
    ),
)


def build(preset: str | None = None, weights: Path | None = None, **fields: str) -> SVDNet:
    """Return the network of a preset (`default`, `light`, `lite`), in eval mode.

    `fields` replace fields of its Config. `weights` is a checkpoint; unless a preset or fields are
    named, the configuration in its card holds. A preset whose weights come with the package has
    them. Any other network has the weights it was born with, the same in every process, and says
    `info.trained=False`. Raises InputError for what is unknown or does not fit.
    """
    card = read_card(weights) if weights is not None else {}
    if "config" in card and preset is None and not fields:
        config, preset = config_from_card(Config, card["config"]), str(card.get("preset", "card"))
    else:
        preset = preset or "default"
        config = configured(PRESETS, preset, fields, "svdnet")
        shipped = SHIPPED / f"{preset}.safetensors"
        if weights is None and not fields and shipped.is_file():
            weights, card = shipped, read_card(shipped)
    network = _born(config)
    network.info = replace(
        INFO,
        window=config.window,
        multiple=config.stride,
        min_size=2 * config.stride if config.flow == "none" else INFO.min_size,
        facts={"preset": preset, "config": asdict(config)},
    )
    if weights is not None:
        network.info = replace(
            network.info,
            weights=weights.name,
            weights_sha256=load_weights(network, weights),
            weights_licence=str(card.get("weights_licence", "")),
            trained_on=str(card.get("trained_on", "unstated")),
            trained=True,
            needs="nothing",
        )
    return network.eval()


def _born(config: Config) -> SVDNet:
    """Return an untrained network; equal configurations give equal weights."""
    import torch

    from rvsd_bench.baselines.svdnet.network import SVDNet

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return SVDNet(config)
