"""Keep a network's weights in a file, and take them from one that may be anybody's.

Ours are safetensors with a card, a JSON object, in their metadata. PyTorch's pickles (`.pth`,
`.pt`, `.ckpt`) are read by torch's restricted unpickler alone: what else they would run is never
run. Names, shapes and values are audited before a single weight is replaced.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench.errors import InputError
from rvsd_bench.files import readable, sha256_file, write_bytes
from rvsd_bench.texts import parse_json, shortened

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST_BYTES = 2**32
"""Larger files are refused unread, and so are archives that would unpack to more."""

PICKLES = (".pth", ".pt", ".ckpt")
_WRAPPERS = ("params_ema", "params", "state_dict")
_PREFIXES = ("module.", "generator.")
_CARD = "card"
_SHOWN = 3


def save_checkpoint(path: Path, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write weights and their card atomically as safetensors; equal ones give equal bytes.

    The card is any JSON object; `build` looks for `config` (the network's fields), `trained_on` and
    `weights_licence` in it. Raises OutputError if the file cannot be written.
    """
    from safetensors.torch import save

    # Clones: safetensors refuses tensors that share their memory.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    text = json.dumps(dict(card), sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_bytes(path, save(tensors, metadata={_CARD: text}))


def read_card(path: Path) -> dict[str, Any]:
    """Return the card of a checkpoint; an empty one for a file of somebody else's making.

    Raises InputError for a file that cannot be read or whose card is not a JSON object.
    """
    from safetensors import SafetensorError, safe_open

    _require_readable(path)
    if path.suffix.lower() != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_CARD, "{}")
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error
    try:
        card = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: the checkpoint's card is not JSON: {error}") from error
    if not isinstance(card, dict):
        raise InputError(f"{path}: the checkpoint's card is not a JSON object")
    return card


def load_weights(
    network: nn.Module,
    path: Path,
    rename: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
) -> str:
    """Put the weights of a file into a network and return the SHA-256 of the file.

    Files may wrap the weights in `params_ema`, `params` or `state_dict`, and prefix their names by
    `module.` or `generator.`; `rename` translates what other code calls them. Raises InputError,
    and leaves the network as it was, for a file that is damaged, wants to run code, is too large,
    or holds other names, shapes or kinds of numbers than the network has, or numbers that are not
    finite.
    """
    wanted = network.state_dict()
    state = _unprefixed(read_weights(path), wanted)
    if rename is not None:
        state = _renamed(path, state, rename)
    _audit(path, state, wanted)
    network.load_state_dict(state, strict=True)
    return sha256_file(path)


def read_weights(path: Path) -> dict[str, Any]:
    """Return what a file holds by name, out of what wraps it; tensors, if it is weights at all.

    Raises InputError for a file that is damaged, wants to run code, or is too large.
    """
    _require_readable(path)
    if path.suffix.lower() != ".safetensors":
        return _unwrapped(path, _read_pickle(path))
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def _require_readable(path: Path) -> None:
    suffixes = (".safetensors", *PICKLES)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: weights must be in a file ending in {', '.join(suffixes)}")
    with readable(path), path.open("rb") as file:
        size = file.seek(0, 2)
    if size > LARGEST_BYTES:
        raise InputError(f"{path} has {size} bytes; a checkpoint may have {LARGEST_BYTES} at most")


def _read_pickle(path: Path) -> Any:
    import torch

    _refuse_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other protocols: the answer is one line or tensors
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's bytes may raise anything
        if demanded := re.search(r"GLOBAL (\S+)", str(error)):
            raise InputError(
                f"{path} asks for {shortened(demanded[1])}, which is code and not weights; it was "
                "not run. Save only the state_dict, best as safetensors"
            ) from error
        if "TorchScript" in str(error):
            raise InputError(f"{path} is a TorchScript program; save the state_dict") from error
        raise _damaged(path, f"torch reports {type(error).__name__}") from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that would unpack to more than a checkpoint may have."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # a directory of nonsense may raise nearly anything
        raise _damaged(path, str(error)) from error
    if unpacked > LARGEST_BYTES:
        raise InputError(
            f"{path} unpacks to {unpacked} bytes; a checkpoint may have {LARGEST_BYTES} at most"
        )


def _unwrapped(path: Path, loaded: Any) -> dict[str, Any]:
    """Return the innermost mapping of names to values that a training framework wrapped."""
    while isinstance(loaded, Mapping):
        inner = next((w for w in _WRAPPERS if isinstance(loaded.get(w), Mapping)), None)
        if inner is None:
            return {str(name): value for name, value in loaded.items()}
        loaded = loaded[inner]
    raise InputError(f"{path} holds a {type(loaded).__name__}, not a network's weights")


def _unprefixed(state: dict[str, Any], wanted: Mapping[str, Tensor]) -> dict[str, Any]:
    """Drop the prefixes that wrappers of networks add, and what lies outside (losses, teachers)."""
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            if inside and not any(name.startswith(prefix) for name in wanted):
                state = inside
    return state


def _renamed(
    path: Path, state: dict[str, Any], rename: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    try:
        return rename(state)
    except Exception as error:  # it was written for names and values of other files
        raise InputError(
            f"{path}: the names in it cannot be translated: {type(error).__name__}: {error}"
        ) from error


def _audit(path: Path, state: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not this network's, naming the first that differ."""
    from torch import Tensor

    if strange := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise InputError(
            f"{path}: not a network's weights: {_first(strange)} "
            f"{'is' if len(strange) == 1 else 'are'} no tensor; save the state_dict alone"
        )
    both = [name for name in wanted if name in state]
    reshaped = [
        f"{name} is {_shape(state[name])} instead of {_shape(wanted[name])}"
        for name in both
        if state[name].shape != wanted[name].shape
    ]
    differences = [
        f"{what} {_first(names)}"
        for what, names in (
            ("it lacks", [name for name in wanted if name not in state]),
            ("it has besides", [name for name in state if name not in wanted]),
            ("other shapes:", reshaped),
        )
        if names
    ]
    if differences:
        raise InputError(f"{path} is for another architecture: {'; '.join(differences)}")
    for name in both:
        _audit_values(path, name, state[name], wanted[name])


def _audit_values(path: Path, name: str, found: Tensor, wanted: Tensor) -> None:
    import torch

    usual = found.layout == torch.strided and not found.is_quantized and found.device.type == "cpu"
    if not usual or found.is_floating_point() != wanted.is_floating_point() or found.is_complex():
        raise InputError(
            f"{path}: {name} is {found.layout} {found.dtype}, the network needs {wanted.dtype}"
        )
    if not bool(torch.isfinite(found.float()).all()):
        raise InputError(f"{path}: {name} holds NaN or infinity; the training must have diverged")


def _first(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(shortened, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is truncated, or no checkpoint at all: {shortened(reason)}")
