"""SemiVDN's generator: decouple snow, haze and light by experts over time, and invert the model.

Wu et al., "Semi-Supervised Video Desnowing Network via Temporal Decoupling Experts and
Distribution-Driven Contrastive Regularization", ECCV 2024. No code of it was published.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench.baselines.assembling import assemble
from rvsd_bench.baselines.checkpoints import load_weights
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.semivdn.config import PRESETS, Config
from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from rvsd_bench.baselines.semivdn.network import SemiVDN

CARD = ModelInfo(
    name="semivdn",
    window=3,
    stride=1,
    staged=True,
    multiple=32,
    min_size=32,
    tiling="discouraged",
    half=True,
    about="a transformer with experts for snow, transmission and light, over three frames",
    needs="trained weights: semivdn?weights=FILE",
    paper="Wu et al.: Semi-Supervised Video Desnowing Network via Temporal Decoupling Experts and "
    "Distribution-Driven Contrastive Regularization, ECCV 2024",
    cite="wu2024semivdn",
    licence="Apache-2.0",
    trained_on="nothing",
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

SHIPPED = Path(__file__).parent / "weights"
"""Where weights of presets lie that come with the package; none yet."""


def build(
    preset: str | None = None,
    weights: Path | None = None,
    encoder_weights: Path | None = None,
    **fields: str,
) -> SemiVDN:
    """Return the network of a preset (`default`, `tiny`), in eval mode.

    `fields` replace fields of its Config. With `weights` and no preset, that Config is the one in
    the checkpoint's card. `encoder_weights` is a ConvNeXt classifier of
    timm, torchvision or its authors: a start for training. Raises InputError for what does not fit
    together.
    """
    from rvsd_bench.baselines.semivdn.network import SemiVDN

    if weights is not None and encoder_weights is not None:
        raise InputError("semivdn: weights hold an encoder too; leave encoder_weights out")
    network = assemble(
        CARD,
        PRESETS,
        SemiVDN,
        _describe,
        preset=preset,
        weights=weights,
        fields=fields,
        shipped=SHIPPED,
    )
    if encoder_weights is not None:
        _start_encoder(network, encoder_weights)
    return network


def _describe(config: Config) -> dict[str, Any]:
    return {"window": config.window, "multiple": config.multiple, "min_size": config.multiple}


def _start_encoder(network: SemiVDN, weights: Path) -> None:
    from rvsd_bench.baselines.semivdn.encoder import from_public_names

    digest = load_weights(network.encoder, weights, rename=from_public_names)
    facts = {**network.info.facts, "encoder_weights_sha256": digest}
    network.info = replace(network.info, facts=facts)
