"""Readers of checkpoints: safetensors, pickles, and the state of a training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from readers.route import Route


def prepare(home: Path) -> None:
    """Make checkpoints of our smallest network, and of a smaller one in every form."""
    import torch

    from rvsd_bench.baselines import load
    from rvsd_bench.baselines.checkpoints import save_checkpoint

    model: Any = load("svdnet?preset=lite")
    state, card = model.state_dict(), {"config": model.info.facts["config"], "preset": "lite"}
    save_checkpoint(home / "lite.safetensors", state, card)
    small = dict(_network().state_dict())
    save_checkpoint(home / "small.safetensors", small, {"trained_on": "nothing"})
    torch.save({"state_dict": small, "epoch": 3}, home / "small.pt")
    torch.save(small, home / "legacy.pt", _use_new_zipfile_serialization=False)


def _network() -> Any:
    """Return the network that small checkpoints are for."""
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def routes(home: Path, work: Path) -> Iterator[Route]:
    """Yield the routes of checkpoints into networks, cards and digests."""
    from rvsd_bench.baselines.checkpoints import read_card
    from rvsd_bench.weights.store import content_digest, read_pickle

    small, place = (home / "small.safetensors",), work / "in.safetensors"
    yield Route("safetensors", "weights", small, place, _load_weights)
    yield Route("safetensors", "card", small, place, read_card)
    yield Route("safetensors", "content", small, place, content_digest)
    yield Route("safetensors", "baseline", (home / "lite.safetensors",), place, _load_baseline)
    pickles, place = (home / "small.pt", home / "legacy.pt"), work / "in.pt"
    yield Route("pt", "weights", pickles, place, _load_weights)
    yield Route("pt", "pretrained", pickles, place, read_pickle)
    yield Route("pt", "state of a training", pickles, work / "state.pt", _state)


def _load_weights(path: Path) -> None:
    from rvsd_bench.baselines.checkpoints import load_weights

    load_weights(_network(), path)


def _load_baseline(path: Path) -> None:
    from rvsd_bench.baselines import load

    load(f"svdnet?weights={path}")


def _state(path: Path) -> None:
    from rvsd_bench.training.saving import read_state

    read_state(path.parent)
