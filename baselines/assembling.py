"""Put a network of ours together: sizes by preset, options or checkpoint; weights; the card.

The three networks share this, so that they take the same options and describe themselves alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rvsd_bench.baselines.checkpoints import load_weights, read_card
from rvsd_bench.baselines.configuring import config_from_card, configured
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import nn

SEED = 0
"""What the weights of an untrained network are drawn from."""
DEFAULT = "default"
NO_WEIGHTS = Path("none")
"""As the option `weights`: the untrained network, whatever comes with the package."""

C = TypeVar("C", bound="DataclassInstance")
C_contra = TypeVar("C_contra", contravariant=True)
N = TypeVar("N", bound="nn.Module")


class Describe(Protocol[C_contra]):
    """Says which fields of the card depend on the configuration."""

    def __call__(self, config: C_contra, /) -> Mapping[str, Any]:
        """Return those fields of a ModelInfo by name."""


def assemble(
    card: ModelInfo,
    presets: Mapping[str, C],
    make: Callable[[C], N],
    describe: Describe[C],
    *,
    preset: str | None,
    weights: Path | None,
    fields: Mapping[str, str],
    shipped: Path,
) -> N:
    """Return a network in eval mode that describes itself by `info`.

    Without a preset, the configuration in the card of `weights` holds, and fields replace its own;
    fields that change no shape (bounds, how many neighbours are met) fit trained weights. A preset
    gets the weights `shipped`/<preset>.safetensors if they are there and fit, with the
    configuration of their card, unless `weights` is `NO_WEIGHTS`. Without weights the
    network is as it was born, the same in every process, and `info.trained` is False; torch's
    random numbers are left alone. Raises InputError for what is unknown or does not fit together.
    """
    packed = shipped_weights(shipped, preset or DEFAULT) if weights is None else None
    if packed is not None:
        weights, named, preset = packed, preset, None  # their card says how they are to be used
    elif weights == NO_WEIGHTS:
        weights = None
    stored = {} if weights is None else read_card(weights)
    if "config" in stored and preset is None:
        assert weights is not None
        config = _of_card(type(presets[DEFAULT]), stored["config"], weights)
        preset = str(stored.get("preset", "card"))
        config = configured({preset: config}, preset, fields, card.name)
    else:
        preset = preset or DEFAULT
        config = configured(presets, preset, fields, card.name)
    network = _born(make, config)
    if packed is not None and not _fits(packed, network):
        return assemble(card, presets, make, describe, preset=named, weights=NO_WEIGHTS,
                        fields=fields, shipped=shipped)  # fmt: skip
    facts = {"preset": preset, "config": asdict(config)}
    info = replace(card, **describe(config), facts=facts)
    if weights is not None:
        info = replace(
            info,
            weights=weights.name,
            weights_sha256=load_weights(network, weights),
            weights_licence=str(stored.get("weights_licence", "unstated")),
            trained_on=str(stored.get("trained_on", "unstated")),
            trained=True,
            needs="nothing",
            facts=facts | _training(stored),
        )
    network.__dict__["info"] = info  # past torch's own attributes: modules and tensors
    return network.eval()


def _training(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return which training of which recipe a checkpoint's card tells of."""
    told = {"train_seed": card.get("seed"), "train_config_sha256": card.get("train_config_sha256")}
    return {name: value for name, value in told.items() if value is not None}


def shipped_weights(folder: Path, preset: str) -> Path | None:
    """Return the weights of a preset that come with the package, or None."""
    path = folder / f"{preset}.safetensors"
    return path if path.is_file() else None


def _fits(path: Path, network: nn.Module) -> bool:
    """Return whether a file's weights have the names and shapes of a network's."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        there = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return there == {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _of_card(cls: type[C], config: Any, weights: Path) -> C:
    try:
        return config_from_card(cls, config)
    except InputError as error:
        raise InputError(f"{weights} is for another architecture: {error}") from error


def _born(make: Callable[[C], N], config: C) -> N:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return make(config)
