"""SemiVDN's generator: decouple snow, haze and light by experts over time, and invert the model.

Wu et al., "Semi-Supervised Video Desnowing Network via Temporal Decoupling Experts and
Distribution-Driven Contrastive Regularization", ECCV 2024. No code of it was published.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench.baselines.checkpoints import load_weights, read_card
from rvsd_bench.baselines.configuring import config_from_card, configured
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.semivdn.config import PRESETS, Config
from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from rvsd_bench.baselines.semivdn.network import SemiVDN

INFO = ModelInfo(
    name="semivdn",
    window=3,
    stride=1,
    staged=True,
    multiple=32,
    min_size=32,
    tiling="discouraged",
    half=True,
    about="experts for snow, transmission and light over three frames; presets default and tiny",
    needs="trained weights: semivdn?weights=FILE; without them it is random",
    paper="Wu et al.: Semi-Supervised Video Desnowing Network via Temporal Decoupling Experts and "
    "Distribution-Driven Contrastive Regularization, ECCV 2024",
    cite="wu2024semivdn",
    licence="Apache-2.0",
    trained_on="nothing",
    weights="semivdn",
    trained=False,
    deviations=(
        "written from the paper's text: not the authors' code, and not expected to give their "
        "numbers",
        "sizes that the paper does not state follow other code of its first author, and FuseFormer",
        "the combined map is composed of the last block's output, C with its residual, and the "
        "encoder's map is added to it: C alone has rank 3",
        "the transmission lies in [0.05, 1] and the light in [0, 1], one number per frame; "
        "equation 6 does not bound them (strict_eq6 lifts it)",
        "untrained, it starts near the identity; the encoder starts without ImageNet's weights "
        "unless encoder_weights names a file",
    ),
)

SEED = 0
"""What the weights of an untrained network are drawn from."""


def build(
    preset: str | None = None,
    weights: Path | None = None,
    encoder_weights: Path | None = None,
    **fields: str,
) -> SemiVDN:
    """Return the network of a preset (`default`, `tiny`), in eval mode.

    `fields` replace fields of its `Config`. With `weights` and neither preset nor fields, the
    configuration in the checkpoint's card holds. `encoder_weights` is a ConvNeXt classifier of
    timm, torchvision or its authors: a start for training. Raises InputError for what does not fit
    together.
    """
    if weights is not None and encoder_weights is not None:
        raise InputError("semivdn: weights hold an encoder too; leave encoder_weights out")
    card = {} if weights is None else read_card(weights)
    if "config" in card and preset is None and not fields:
        config, preset = config_from_card(Config, card["config"]), str(card.get("preset", "card"))
    else:
        preset = preset or "default"
        config = configured(PRESETS, preset, fields, "semivdn")
    network = _newborn(config)
    facts: dict[str, Any] = {"preset": preset, "config": asdict(config)}
    if encoder_weights is not None:
        from rvsd_bench.baselines.semivdn.encoder import from_public_names

        facts["encoder_weights_sha256"] = load_weights(
            network.encoder, encoder_weights, rename=from_public_names
        )
    network.info = replace(
        INFO,
        window=config.window,
        multiple=config.multiple,
        min_size=config.multiple,
        facts=facts,
    )
    if weights is not None:
        network.info = replace(
            network.info,
            weights_sha256=load_weights(network, weights),
            weights_licence=str(card.get("weights_licence", "unstated")),
            trained_on=str(card.get("trained_on", "unstated")),
            trained=True,
        )
    return network.eval()


def _newborn(config: Config) -> SemiVDN:
    """Return an untrained network, the same each time, and leave torch's random numbers alone."""
    import torch

    from rvsd_bench.baselines.semivdn.network import SemiVDN

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return SemiVDN(config)
