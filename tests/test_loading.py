"""From a spec to a restorer: options, strangers' files, devices."""

from __future__ import annotations

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
    with pytest.raises(InputError, match="add --trust-code"):
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


def test_devices_are_checked_before_they_are_used() -> None:
    assert pick_device("cpu") == "cpu"
    assert torch.device(pick_device("auto")).type in ("cpu", "cuda", "mps")
    with pytest.raises(InputError, match="no device 'gpu'"):
        pick_device("gpu")
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
