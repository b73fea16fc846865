"""Each way of breaking the interface is found by the check that looks for it, and by no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rvsd_bench.baselines import ClipModel, FrameModel, ModelInfo, load
from rvsd_bench.cli import cli
from rvsd_bench.errors import ValidationError
from rvsd_bench.restoring.conforming import conform

VIDEO = ModelInfo("video", window=3, stride=1)


def failed(answer: Callable[[Tensor], Tensor], info: ModelInfo = VIDEO) -> list[str]:
    findings = conform(ClipModel(answer, info), quick=True)
    return [finding.check for finding in findings if not finding.kept]


@pytest.mark.parametrize("spec", ["identity", "median?k=5", "dcp"])
def test_our_classical_methods_conform(spec: str) -> None:
    findings = conform(load(spec), quick=True)
    assert [finding.check for finding in findings if not finding.kept] == []
    assert len(findings) == 6


def test_a_model_that_cannot_take_odd_sizes_is_told_so() -> None:
    def halves(clip: Tensor) -> Tensor:
        return clip.unflatten(-1, (-1, 8)).flatten(-2)

    assert failed(halves) == ["odd sizes"]
    assert failed(halves, replace(VIDEO, multiple=8)) == []


def test_a_model_of_another_length_than_it_says_is_told_so() -> None:
    def pairs(clip: Tensor) -> Tensor:
        if clip.shape[1] != 2:
            raise ValueError("I take two frames")
        return clip

    assert "any length" in failed(pairs)
    assert failed(pairs, replace(VIDEO, window=2)) == []


def test_a_model_that_draws_lots_is_not_repeatable() -> None:
    calls = count()
    assert failed(lambda clip: clip * (1 - 1e-6 * next(calls))) == ["repeatable"]


def test_a_model_that_mixes_the_clips_of_a_batch_is_found() -> None:
    assert failed(lambda clip: clip - clip.mean(dim=0) + clip.mean()) == ["batch"]
    careful = replace(VIDEO, batchable=False)
    assert failed(lambda clip: clip - clip.mean(dim=0) + clip.mean(), careful) == []


def test_a_model_that_writes_into_its_input_is_found() -> None:
    assert failed(lambda clip: clip.clone().clamp(max=1) + 0 * clip.sub_(0.1).sum()) == [
        "input untouched"
    ]


@pytest.mark.parametrize(
    ("answer", "also"),
    [
        (lambda clip: clip * 5, ()),
        (lambda clip: torch.where(clip.sum() == 0, torch.nan, clip), ()),
        (lambda clip: clip * 255, ("odd sizes", "any length", "repeatable", "batch")),
    ],
    ids=["overshoot", "black becomes NaN", "0 to 255"],
)
def test_answers_off_the_scale_are_found(
    answer: Callable[[Tensor], Tensor], also: Sequence[str]
) -> None:
    found = failed(answer)
    assert "range" in found and set(also) <= set(found)


class Staged(torch.nn.Module):
    """Takes the brightest over the window of what its first stage made of each frame."""

    def __init__(self, *, leak: float = 0.0, offset: float = 0.0) -> None:
        super().__init__()
        self.leak, self.offset = leak, offset
        self.info = replace(VIDEO, staged=True, half=True)

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        return (frames / 2 + self.leak * frames.mean(dim=0),)

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        most = codes[0].amax(dim=1, keepdim=True).expand(-1, len(keep), -1, -1, -1)
        return most + self.offset

    def forward(self, clip: Tensor) -> Tensor:
        codes = tuple(code.unflatten(0, clip.shape[:2]) for code in self.encode(clip.flatten(0, 1)))
        return self.decode(clip, codes, range(clip.shape[1])) - self.offset


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, []), ({"leak": 0.1}, ["batch", "stages"]), ({"offset": 0.01}, ["stages"])],
)
def test_stages_that_differ_from_the_whole_are_found(
    options: dict[str, float], wanted: list[str]
) -> None:
    findings = conform(Staged(**options), quick=True)
    assert [finding.check for finding in findings if not finding.kept] == wanted
    assert findings[-1].check == "bfloat16"


def test_a_model_that_promises_stages_and_has_none_is_told_so() -> None:
    model = FrameModel(lambda pictures: pictures, ModelInfo("plain", staged=True))
    findings = conform(model, quick=True)
    (told,) = [finding.told for finding in findings if finding.check == "stages"]
    assert "model 'plain' failed" in told and "has no attribute 'encode'" in told


def test_the_command_prints_a_table_and_exits_with_4_where_a_check_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "from rvsd_bench.baselines import FrameModel, ModelInfo\n"
        "def build(gain: float = 1):\n"
        "    return FrameModel(lambda x: x * gain, ModelInfo('net'))\n"
    )
    cli.main(["conform", str(path), "--trust-code", "--device", "cpu"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 7
    with pytest.raises(ValidationError, match="does not conform: range") as told:
        cli.main(["conform", f"{path}?gain=4", "--trust-code", "--quick"], standalone_mode=False)
    assert told.value.exit_code == 4
    assert "FAILS  range" in capsys.readouterr().out
