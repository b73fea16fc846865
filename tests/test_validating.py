"""Hold what a training says of itself: decibels, pictures, and lines on stderr."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.loading import load
from rvsd_bench.metrics import open_metric
from rvsd_bench.training import progress
from rvsd_bench.training.batches import Batch
from rvsd_bench.training.sheet import draw_sheet
from rvsd_bench.training.stepping import Outcome
from rvsd_bench.training.validating import fit_to, psnr, validate


class Brighter(nn.Module):
    """Adds a number to every pixel."""

    info = ModelInfo(name="brighter", multiple=4)

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.tensor(step))

    def forward(self, clip: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        assert clip.shape[-1] % 4 == clip.shape[-2] % 4 == 0
        return clip + self.step


def _clip(seed: int, size: tuple[int, int] = (14, 18)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(40, 200, (3, 3, *size), generator=generator) / 255).float()


def test_decibels_are_those_of_the_metric() -> None:
    first, second = _clip(0)[0], _clip(1)[0]
    frames = [(p.permute(1, 2, 0) * 255).round().byte().numpy() for p in (first, second)]
    metric = open_metric("psnr")
    wanted = metric.score(frames[0], metric.prepare(frames[1]))
    assert psnr(first, second) == pytest.approx(wanted, abs=1e-6)
    assert psnr(first, first) == 80
    assert psnr(first, first + 0.4 / 255) == 80  # it rounds to the same levels
    assert psnr(first + 9, first + 5) == 80  # both are white
    assert psnr(first * float("nan"), first) == 0


def test_the_verdict_is_of_middle_frames_beside_the_input_and_the_affine_map() -> None:
    clean = [_clip(seed) for seed in range(2)]
    hazy = [c * 0.5 + 0.25 for c in clean]
    # Only the middle frames are judged: the others may be anything.
    windows = [(h.clone(), c.clone()) for h, c in zip(hazy, clean, strict=True)]
    for snowy, _ in windows:
        snowy[0] = snowy[2] = 0
    batch = Batch(torch.stack(hazy), torch.stack(clean), None, (0, 1))
    fitted = fit_to([batch])
    assert fitted.gain == pytest.approx((2, 2, 2), abs=0.02)
    network = Brighter(10 / 255).train()
    verdict = validate(network, windows, fitted, "float32")
    assert network.training
    cut = [(h[1, :, :12, :16], c[1, :, :12, :16]) for h, c in windows]
    assert verdict.psnr == pytest.approx(np.mean([psnr(h + 10 / 255, c) for h, c in cut]))
    assert verdict.psnr_input == pytest.approx(np.mean([psnr(h, c) for h, c in cut]))
    assert verdict.psnr_affine > 45 > verdict.psnr_input
    assert verdict.views[0].restored.shape == (3, 12, 16)


@pytest.mark.parametrize(
    ("spec", "symbols"),
    [
        ("svdnet?preset=lite", ["S", "T", "A", "z"]),
        ("semivdn?preset=tiny", ["S", "T", "A"]),
        ("desnownet?preset=tiny", ["z"]),
    ],
)
def test_the_sheet_shows_what_each_network_knows(spec: str, symbols: list[str]) -> None:
    network: Any = load(spec)
    clip = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    batch = Batch(clip[None], clip[None], None, (0,))
    verdict = validate(network, [(clip, clip)] * 2, fit_to([batch]), "bf16")
    layers = verdict.views[0].layers
    assert list(layers) == symbols
    assert all(v.shape[0] in (1, 3) and v.shape[1:] == (32, 48) for v in layers.values())
    sheet = draw_sheet(verdict.views)
    columns = 3 + len(symbols)
    assert sheet.shape == (22 + 2 * (32 + 6 + 18), 6 + columns * (48 + 6), 3)
    if "S" in layers:  # grey is no snow
        middle = sheet[22 + 16, 6 + 3 * 54 + 24].astype(float)
        wanted = (layers["S"][:, 16, 24].expand(3).numpy() + 1) / 2 * 255
        assert middle == pytest.approx(np.clip(wanted, 0, 255), abs=0.51)


def test_large_frames_are_shrunk_in_the_sheet() -> None:
    clip = torch.rand(3, 3, 64, 640, generator=torch.Generator().manual_seed(0))
    fitted = fit_to([Batch(clip[None], clip[None], None, (0,))])
    verdict = validate(Brighter(0.0), [(clip, clip)], fitted, "float32")
    assert draw_sheet(verdict.views).shape[1] == 6 + 3 * (320 + 6)


def test_without_a_terminal_a_line_now_and_then_tells_the_rate_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = progress.OnStderr()
    shown.begin(100, 1100)
    for _ in range(100):
        now[0] += 0.5
        shown.step(Outcome({"charbonnier": 0.25, "snow": 2.0}, 1.25, 0.1, 1e-3))
    shown.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["step 160 of 1100, 2/s, 0:07:50 left: loss 1.25 (charbonnier 0.25, snow 2)"]


def test_the_last_step_is_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    shown = progress.OnStderr()
    shown.begin(0, 2)
    for _ in range(2):
        shown.step(Outcome({"charbonnier": math.nan}, math.nan, 0.1, 1e-3))
    assert capsys.readouterr().err.count("step 2 of 2") == 1
