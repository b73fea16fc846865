"""From a spec to a restorer: options, strangers' files, devices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from rvsd_bench.baselines import ModelInfo, load, pick_device
from rvsd_bench.errors import InputError, MissingError

NET = """
import torch
from rvsd_bench.baselines import CenterModel, FrameModel, ModelInfo

def build(gain: float = 1.0, flip: bool = False, **others):
    return FrameModel(lambda x: x * gain * (-1 if flip else 1), ModelInfo("gain", facts=others))

def bare():
    return torch.nn.Conv2d(3, 3, 3)

def fails():
    raise KeyError("no weights")
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_options_become_what_the_factory_declares() -> None:
    assert load("median?k=5").info.facts == {"k": 5}
    assert load("dcp?omega=0.25").info.facts["omega"] == 0.25


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("median?k=x", "option 'k' must be int, got 'x'"),
        ("median?q=3", "no option of 'median' named 'q'.*Known: k"),
        ("identity?k=3", "no option of 'identity' named 'k'"),
        ("medain", "Did you mean 'median'"),
        ("frames:.", "already restored; only `evaluate`"),
        ("py:no_such.py", "there is no file no_such.py"),
    ],
)
def test_a_spec_that_cannot_be_loaded_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(spec, trust_code=True)


def test_a_strangers_file_runs_only_when_it_is_trusted(net: Path) -> None:
    with pytest.raises(InputError, match="--trust-code"):
        load(f"py:{net}")
    model = load(f"py:{net}?gain=0.5&flip=yes&note=x", trust_code=True)
    assert model.info == ModelInfo("gain", facts={"note": "x"})
    assert torch.equal(model(torch.ones(1, 2, 3, 4, 4)), torch.full((1, 2, 3, 4, 4), -0.5))


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("bare", "built a Conv2d, not a restorer.*FrameModel"),
        ("fails", "net.py: KeyError: 'no weights'"),
        ("absent", "no function 'absent'"),
    ],
)
def test_what_goes_wrong_in_a_strangers_file_names_the_file(
    net: Path, attribute: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load(f"py:{net}:{attribute}", trust_code=True)


def test_a_file_that_does_not_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def build(:")
    with pytest.raises(InputError, match=r"broken\.py cannot be run: SyntaxError"):
        load(f"py:{path}", trust_code=True)


MODERN = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from rvsd_bench.baselines import FrameModel, ModelInfo

@dataclass
class Sizes:
    channels: int = 3

def build():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(Sizes().channels), torch.nn.Dropout(0.5))
    return FrameModel(network, ModelInfo("norm"))
"""


def test_a_strangers_network_is_switched_to_inference_whatever_wraps_it(tmp_path: Path) -> None:
    path = tmp_path / "modern.py"
    path.write_text(MODERN)
    clip = torch.rand(1, 2, 3, 4, 4)
    # Untrained, the normalisation's running mean and variance are 0 and 1, up to its eps.
    assert torch.allclose(load(f"py:{path}", trust_code=True)(clip), clip, atol=1e-4)


def test_a_file_that_changes_within_a_second_is_run_anew(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    for gain in (0.25, 0.75):  # of equal length and time, which is all that bytecode knows
        path.write_text(f"{NET}\nDEFAULT = {gain}\ndef other(): return build(DEFAULT)\n")
        os.utime(path, (1e9, 1e9))
        model = load(f"py:{path}:other", trust_code=True)
        assert float(model(torch.ones(1, 1, 3, 1, 1)).max()) == gain
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "parameter", ["gain: float | None = None", "gain: Optional[float] = None", "gain=1.0"]
)
def test_numbers_are_parsed_however_they_are_declared(tmp_path: Path, parameter: str) -> None:
    path = tmp_path / "model.py"
    path.write_text(f"from typing import Optional\n{NET.replace('gain: float = 1.0', parameter)}")
    model = load(f"py:{path}?gain=0.5", trust_code=True)
    assert float(model(torch.ones(1, 1, 3, 1, 1)).max()) == 0.5


def test_a_file_that_ends_the_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("raise SystemExit(0)")
    with pytest.raises(InputError, match=r"script\.py cannot be run: SystemExit"):
        load(f"py:{path}", trust_code=True)


def test_devices_are_checked_before_they_are_used() -> None:
    assert pick_device("cpu") == "cpu"
    assert torch.device(pick_device("auto")).type in ("cpu", "cuda", "mps")
    with pytest.raises(InputError, match="no device 'gpu'"):
        pick_device("gpu")
    with pytest.raises(InputError, match="models do not run on 'meta'"):
        pick_device("meta")
    if not torch.cuda.is_available():
        with pytest.raises(MissingError, match="no cuda device"):
            pick_device("cuda")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": 0}, "at least 1"),
        ({"window": 4, "emits": "center"}, "odd window"),
        ({"window": None, "emits": "center"}, "odd window"),
        ({"multiple": 0}, "at least 1"),
    ],
)
def test_an_impossible_description_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ModelInfo("net", **fields)  # type: ignore[arg-type]


def test_a_device_beyond_those_that_are_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == "cuda:1"
    with pytest.raises(MissingError, match="there is no cuda:2; cuda devices here: 2"):
        pick_device("cuda:2")
