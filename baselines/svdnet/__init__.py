"""SVDNet, the video desnowing network of RVSD, reconstructed.

Importing this package loads no torch, so that the card can be listed fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench.baselines.assembling import assemble
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.svdnet.config import PRESETS, Config

if TYPE_CHECKING:
    from rvsd_bench.baselines.svdnet.network import SVDNet

SHIPPED = Path(__file__).parent / "weights"
"""Where weights of presets lie that come with the package: `lite.safetensors`."""

CARD = ModelInfo(
    name="svdnet",
    window=3,
    stride=1,
    staged=True,
    multiple=4,
    min_size=32,
    tiling="discouraged",
    half=True,
    about="flow, snow queries and a look past the flakes, over three frames",
    needs="trained weights: svdnet?weights=FILE",
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

    `fields` replace fields of its Config. `weights` is a checkpoint; without a preset, that Config
    is the one in its card. A preset whose weights come with the package has
    them. Raises InputError for what is unknown or does not fit.
    """
    from rvsd_bench.baselines.svdnet.network import SVDNet

    return assemble(
        CARD,
        PRESETS,
        SVDNet,
        _describe,
        preset=preset,
        weights=weights,
        fields=fields,
        shipped=SHIPPED,
    )


def _describe(config: Config) -> dict[str, Any]:
    return {
        "window": config.window,
        "multiple": config.stride,
        "min_size": 2 * config.stride if config.flow == "none" else CARD.min_size,
    }
