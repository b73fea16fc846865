"""Checkpoints come back as they were, and nothing but our network's weights ever gets in."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rvsd_bench.baselines import checkpoints
from rvsd_bench.baselines.checkpoints import load_weights, read_card, save_checkpoint
from rvsd_bench.errors import InputError, OutputError


def _network(seed: int = 0, width: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 3, 1))


def _state(seed: int = 1, width: int = 4) -> dict[str, Tensor]:
    return dict(_network(seed, width).state_dict())


def _refusal(path: Path) -> str:
    """Return the line with which a file is refused; the network must be left as it was."""
    network = _network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_weights(network, path)
    message = str(caught.value)
    assert path.name in message and "\n" not in message
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    return message


def test_weights_and_card_come_back_from_a_file_that_is_plain_safetensors(tmp_path: Path) -> None:
    path, card = tmp_path / "w.safetensors", {"config": {"width": 4}, "trained_on": "föhn"}
    save_checkpoint(path, _state(), card)
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert json.loads(header["__metadata__"]["card"]) == card == read_card(path)
    begin, end = header["0.weight"]["data_offsets"]
    stored = np.frombuffer(data[8 + size + begin : 8 + size + end], np.float32)
    assert np.array_equal(stored.reshape(4, 3, 3, 3), _state()["0.weight"].numpy())

    network = _network()
    assert load_weights(network, path) == hashlib.sha256(data).hexdigest()
    assert all(torch.equal(_state()[name], t) for name, t in network.state_dict().items())


def test_equal_weights_give_equal_bytes_even_where_tensors_share_memory(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"a": shared, "b": shared, "c": shared.T}
    for name in ("1.safetensors", "2.safetensors"):
        save_checkpoint(tmp_path / name, state, {"b": 1, "a": 2})
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()


def test_a_checkpoint_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="make its folder first"):
        save_checkpoint(tmp_path / "absent" / "w.safetensors", _state(), {})


WRAPS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "ema before params": lambda state: {"params": _state(9), "params_ema": state},
    "parallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "generator among losses": lambda state: {
        "state_dict": {f"generator.{k}": v for k, v in state.items()} | {"loss.w": torch.ones(1)}
    },
    "parallel generator": lambda state: {f"module.generator.{k}": v for k, v in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_are_read_whatever_wrapped_them(wrap: Any, legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(wrap(_state()), path, _use_new_zipfile_serialization=not legacy)
    network = _network()
    assert load_weights(network, path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(_state()[name], t) for name, t in network.state_dict().items())
    assert read_card(path) == {}


def test_a_prefix_that_the_network_itself_uses_is_kept(tmp_path: Path) -> None:
    path, network = tmp_path / "w.safetensors", nn.ModuleDict({"generator": nn.Linear(2, 2)})
    save_checkpoint(path, network.state_dict(), {})
    load_weights(network, path)


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    path, network = tmp_path / "w.safetensors", _network()
    half = {k: v.half() if v.is_floating_point() else v for k, v in _state().items()}
    save_checkpoint(path, half, {})
    load_weights(network, path)
    found = network.state_dict()["0.weight"]
    assert found.dtype == torch.float32 and torch.equal(found, half["0.weight"].float())


class Payload:
    """Unpickled without restriction, this makes the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def _pickled(value: Any, path: Path, form: str) -> None:
    if form == "raw":
        path.write_bytes(pickle.dumps(value, protocol=2))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "raw"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("forced", [False, True])
def test_the_payload_of_a_pickle_never_runs(
    form: str, suffix: str, forced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:  # torch offers users a switch to unpickle everything; it must not reach us
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    ran, path = tmp_path / "ran", tmp_path / f"w{suffix}"
    _pickled({"0.weight": Payload(ran)}, path, form)
    assert "asks for posix.system, which is code and not weights" in _refusal(path)
    assert not ran.exists()


def test_the_payload_of_the_test_above_would_run_elsewhere(tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", tmp_path / "w.pth"
    _pickled(Payload(ran), path, "zip")
    torch.load(path, weights_only=False)
    assert ran.exists()


def test_a_whole_pickled_network_is_refused_by_the_name_of_its_class(tmp_path: Path) -> None:
    torch.save(_network(), tmp_path / "w.pth")
    assert "torch.nn.modules.container.Sequential, which is code" in _refusal(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_refused_as_such(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "w.pt")
    assert "is a TorchScript program" in _refusal(tmp_path / "w.pt")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.6, 0.99])
def test_a_truncated_file_is_refused(form: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    state = _state(width=64)
    save_file(state, path) if form == "safetensors" else _pickled(state, path, form)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    assert "truncated, or no checkpoint" in _refusal(path)
    if form == "safetensors":
        with pytest.raises(InputError, match="truncated, or no checkpoint"):
            read_card(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_what_is_no_checkpoint_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(b"<!DOCTYPE html><title>404</title>" * 20)
    assert "no checkpoint at all" in _refusal(path)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.ones(3), "holds a Tensor, not a network's weights"),
        ([torch.ones(3)], "holds a list, not a network's weights"),
        ({"epoch": 3, "lr": 0.1}, "epoch, lr are no tensor"),
        ({"state_dict": {"0.weight": 1}}, "0.weight is no tensor"),
        ({}, "it lacks 0.weight"),
    ],
)
def test_other_things_that_torch_can_save_are_refused(
    value: Any, told: str, tmp_path: Path
) -> None:
    torch.save(value, tmp_path / "w.pth")
    assert told in _refusal(tmp_path / "w.pth")


def test_another_architecture_is_refused_by_the_first_keys_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, nn.Linear(2, 2).state_dict(), {})
    assert _refusal(path).endswith(
        "is for another architecture: it lacks 0.weight, 0.bias, 1.weight and 6 more; "
        "it has besides bias, weight"
    )
    save_checkpoint(path, _state(width=8), {})
    assert (
        "other shapes: 0.weight is 8x3x3x3 instead of 4x3x3x3, 0.bias is 8 instead of 4"
        in _refusal(path)
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    state = _state()
    state["2.bias"][1] = value
    save_checkpoint(tmp_path / "w.safetensors", state, {})
    assert "2.bias holds NaN or infinity" in _refusal(tmp_path / "w.safetensors")


def _quantized() -> Tensor:
    return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(3, dtype=torch.int64),
        lambda: torch.ones(3, dtype=torch.bool),
        lambda: torch.ones(3, dtype=torch.complex64),
        lambda: torch.ones(3).to_sparse(),
        lambda: torch.ones(3, device="meta"),
        _quantized,
    ],
    ids=["int64", "bool", "complex", "sparse", "meta", "quantized"],
)
def test_other_kinds_of_numbers_are_refused(make: Callable[[], Tensor], tmp_path: Path) -> None:
    torch.save(_state() | {"2.bias": make()}, tmp_path / "w.pth")
    assert "2.bias is torch." in _refusal(tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_beyond_the_largest_size_is_refused_unread(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    with path.open("wb") as file:
        file.truncate(checkpoints.LARGEST_BYTES + 1)  # a hole: it takes no room
    assert "4294967297 bytes; a checkpoint may have 4294967296 at most" in _refusal(path)


def test_an_archive_that_unpacks_to_more_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LARGEST_BYTES", 50_000)
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(100_000))
    assert path.stat().st_size < 1000
    assert "unpacks to 100000 bytes" in _refusal(path)


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "w.onnx", "w"])
def test_a_file_that_is_not_there_or_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    told = "No such file" if name.startswith("absent") else "must be in a file ending in"
    assert told in _refusal(tmp_path / name)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").mkdir()
    assert "Is a directory" in _refusal(tmp_path / "w.safetensors")


@pytest.mark.parametrize("card", ["{", "[1]", "3", "[" * 100_000], ids=["{", "[1]", "3", "deep"])
def test_a_card_that_is_no_object_is_refused(card: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(_state(), path, metadata={"card": card})
    with pytest.raises(InputError, match=r"w\.safetensors: the checkpoint's card is not"):
        read_card(path)


def test_a_safetensors_file_of_another_maker_has_an_empty_card(tmp_path: Path) -> None:
    save_file(_state(), tmp_path / "w.safetensors", metadata={"format": "pt"})
    assert read_card(tmp_path / "w.safetensors") == {}
