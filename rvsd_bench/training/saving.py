"""Keep a training so that it goes on exactly where it was, and export what it has learned."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rvsd_bench.errors import InputError
from rvsd_bench.files import readable, write_bytes
from rvsd_bench.texts import read_json

STATE = "state.pt"
CHECKPOINT = "checkpoint.safetensors"
CARD = "card.json"
RECIPE = "recipe.toml"


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors, numbers, lists and texts; the old one stays until it is whole.

    Raises OutputError, naming the bytes needed, if there is no room.
    """
    buffer = io.BytesIO()  # torch reports a full disk as an internal error of its own
    torch.save(dict(state), buffer)
    write_bytes(folder / STATE, buffer.getvalue())


def read_state(folder: Path) -> dict[str, Any] | None:
    """Return the state in a folder, None if there is none; no code of a stranger's file is run.

    Raises InputError for a file that is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's bytes may raise anything
        raise InputError(
            f"{path} is damaged, or no state of a training ({type(error).__name__}); --force "
            "begins again"
        ) from error
    return state


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of the training in a folder, empty if there is none."""
    path = folder / CARD
    if not path.is_file():
        return {}
    try:
        with readable(path):
            card = read_json(path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}; --force begins again") from error
    if not isinstance(card, dict):
        raise InputError(f"{path} is not the card of a training; --force begins again")
    return card
