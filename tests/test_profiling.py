"""What a restorer costs, against networks whose cost is known on paper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rvsd_bench.baselines import ClipModel, FrameModel, ModelInfo, load
from rvsd_bench.cli import cli
from rvsd_bench.errors import InputError
from rvsd_bench.restoring.profiling import MOST_REPEATS, profile, profile_apart

NET = """
import torch
from rvsd_bench.baselines import FrameModel, ModelInfo

def build(mib: int = 0):
    conv = torch.nn.Conv2d(3, 3, 3, padding=1)
    def act(frames):
        taken = torch.ones(mib << 18)
        return conv(frames) + 0 * taken.sum() if mib else conv(frames)
    model = FrameModel(act, ModelInfo("net"))
    return model
"""


def test_a_convolution_costs_what_paper_and_pencil_say() -> None:
    conv = torch.nn.Conv2d(3, 3, 3, padding=1)
    found = profile(FrameModel(conv, ModelInfo("conv")), method="conv", size=(20, 30), least_s=0.3)
    assert found.parameters == 3 * 3 * 9 + 3
    assert found.gmacs_frame == found.gmacs_window == pytest.approx(3 * 3 * 9 * 600 / 1e9)
    assert found.ms_frame > 0 and found.repeats >= 3


def test_tiles_are_counted_with_what_they_share() -> None:
    conv = torch.nn.Conv2d(3, 3, 3, padding=1)
    info = ModelInfo("conv", tile=16)
    found = profile(FrameModel(conv, info), method="conv", size=(24, 40), least_s=0.01)
    tiles = 2 * 4  # 16 px wide, 8 of them shared
    assert found.gmacs_frame == pytest.approx(tiles * 81 * 256 / 1e9)


class Staged(torch.nn.Module):
    """One convolution for each frame, two for each frame that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.info = ModelInfo("staged", window=3, stride=1, staged=True)
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        return (self.conv(frames),)

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        kept = codes[0][:, list(keep)].flatten(0, 1)
        return self.conv(self.conv(kept)).unflatten(0, (len(clip), len(keep)))

    def forward(self, clip: Tensor) -> Tensor:
        codes = tuple(code.unflatten(0, clip.shape[:2]) for code in self.encode(clip.flatten(0, 1)))
        return self.decode(clip, codes, range(clip.shape[1]))


def test_a_frame_of_a_staged_model_costs_one_encoding_and_one_decoding() -> None:
    found = profile(Staged(), method="staged", size=(8, 8), least_s=0.01)
    assert found.gmacs_window == pytest.approx(9 * 81 * 64 / 1e9)
    assert found.gmacs_frame == pytest.approx(3 * 81 * 64 / 1e9)


def test_a_method_that_does_nothing_is_not_timed_for_ever() -> None:
    found = profile(load("identity"), method="identity", size=(8, 8), least_s=1e9)
    assert found.repeats == MOST_REPEATS


def test_a_method_without_tensors_says_that_torch_saw_nothing() -> None:
    found = profile(load("median"), method="median", size=(16, 16), least_s=0.01)
    assert (found.parameters, found.gmacs_frame) == (None, 0)


@pytest.mark.slow
def test_the_command_measures_each_model_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two processes that load torch, some 15 s of CPU: that they are two is what is tested."""
    path = tmp_path / "net.py"
    path.write_text(NET)
    ballast = np.ones(2**29, np.uint8)  # what this process holds is none of theirs
    words = ["profile", f"large={path}?mib=300", f"small={path}", "--trust-code", "--device", "cpu"]
    cli.main([*words, "--size", "48x32", "--json"], standalone_mode=False)
    large, small = json.loads(capsys.readouterr().out)
    assert (large["method"], small["method"]) == ("large", "small")
    assert (small["width"], small["height"]) == (48, 32)
    assert large["peak_mib"] - small["peak_mib"] > 200
    assert ballast.all()


def test_a_model_whose_process_dies_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("import os, signal\n\ndef build():\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    with pytest.raises(InputError, match=r"net\.py: the system ended its process"):
        list(profile_apart([f"py:{path}"], (8, 8), trust_code=True))


def test_a_model_of_whole_clips_pays_for_the_frames_around_each_chunk() -> None:
    conv = torch.nn.Conv2d(3, 3, 1)
    info = ModelInfo("whole", window=None)
    model = ClipModel(lambda clip: conv(clip.flatten(0, 1)).unflatten(0, clip.shape[:2]), info)
    found = profile(model, method="whole", size=(8, 8), least_s=0.01)
    assert found.gmacs_frame == pytest.approx(24 / 16 * 9 * 64 / 1e9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["identity", "--size", "big"], "write width and height in pixels"),
        (["identity", "--precision", "bfloat16"], "does not say that it bears bfloat16"),
    ],
)
def test_what_cannot_be_measured_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cli.main(["profile", *words, "--device", "cpu"], standalone_mode=False)
