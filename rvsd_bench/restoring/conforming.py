"""Check whether a restorer keeps the interface: what its author should know before anyone runs it.

The checks of the command `conform` can be run in a plug-in's own tests:

    from rvsd_bench.restoring.conforming import conform
    assert all(finding.kept for finding in conform(build()))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from rvsd_bench.baselines.info import StagedRestorer, VideoRestorer
from rvsd_bench.baselines.loading import load
from rvsd_bench.baselines.spec import Spec
from rvsd_bench.clip import ArrayClip, Frame, to_torch
from rvsd_bench.errors import ModelError, RvsdBenchError
from rvsd_bench.isolation.confined import confines
from rvsd_bench.isolation.reporting import naming, reported
from rvsd_bench.restoring.calling import call, decode, encode, inference
from rvsd_bench.restoring.runner import CHUNK, restore
from rvsd_bench.restoring.tiling import plan_grid
from rvsd_bench.seeds import stream

if TYPE_CHECKING:
    from rvsd_bench.isolation.limits import Isolation

SIZES = ((45, 61), (64, 96), (1, 7))
LARGE = (360, 640)
CLOSE = 1e-4
"""How far two answers to one question may lie apart where the arithmetic may differ."""
HALF_PSNR = 40.0
"""What 16 bits must keep of an answer, in dB against that of float32."""
_ALWAYS = ("odd sizes", "any length", "repeatable", "batch", "input untouched", "range")
_ORDER = (*_ALWAYS, "stages", "bfloat16", "640 x 360")


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    kept: bool
    told: str


def conform(model: VideoRestorer, *, device: str = "cpu", quick: bool = False) -> list[Finding]:
    """Run every check on a model that lies on `device`; none of them raises.

    `quick` leaves out the frames of 640 x 360. An untrained network can keep the interface; what
    16 bits and stages do to its answers is seen only once it is trained.
    """
    return list(findings(model, device=device, quick=quick))


def findings(
    model: VideoRestorer, *, device: str = "cpu", quick: bool = False
) -> Iterator[Finding]:
    """Yield the findings of `conform` as they come."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("odd sizes", lambda: _sizes(model, device)),
        ("any length", lambda: _lengths(model, device)),
        ("repeatable", lambda: _repeatable(model, device)),
        ("batch", lambda: _batch(model, device)),
        ("input untouched", lambda: _untouched(model, device)),
        ("range", lambda: _range(model, device)),
    ]
    if model.info.staged:
        checks.append(("stages", lambda: _stages(cast("StagedRestorer", model), device)))
    if model.info.half:
        checks.append(("bfloat16", lambda: _half(model, device)))
    if not quick:
        checks.append(("640 x 360", lambda: _restored(model, snowy(1, LARGE), device)))
    for name, check in checks:
        try:
            yield Finding(name, True, check())
        except (RvsdBenchError, _BrokenError) as error:
            yield Finding(name, False, str(error))


def findings_of(
    spec: Spec,
    *,
    device: str = "cpu",
    quick: bool = False,
    isolation: Isolation | None = None,
    trust_code: bool = False,
) -> Iterator[Finding]:
    """Yield the findings on a model that is loaded for it; with an isolation, where it is confined.

    The checks run in the model's own process: what a confined one finds is its own word. Raises
    ModelError for one that fails, takes too much, or reports other findings than there can be.
    """
    if isolation is None or not confines(spec):
        model = load(spec, device=device, trust_code=trust_code)
        yield from findings(model, device=device, quick=quick)
        return
    with naming(spec):
        job = {"act": "conform", "quick": quick}
        told = reported(Finding, spec, isolation, device, job)
        yield from _in_order(told, quick=quick)


def _in_order(told: Iterator[Finding], *, quick: bool) -> Iterator[Finding]:
    """Yield findings; raise ModelError for one out of order, or if one that is due never comes."""
    due = list(_ORDER)
    missing = dict.fromkeys(_ALWAYS if quick else (*_ALWAYS, _ORDER[-1]))
    for finding in told:
        if finding.check not in due:
            raise ModelError("it reported a check that was not due", "invalid")
        del due[: due.index(finding.check) + 1]
        missing.pop(finding.check, None)
        yield finding
    if missing:
        raise ModelError(f"it reported nothing of {', '.join(missing)}", "invalid")


def snowy(count: int, size: tuple[int, int], name: str = "a") -> ArrayClip:
    """Make a small clip with smooth ground, moving flakes and noise; a name, a clip."""
    height, width = size
    rng = stream(0, "conform", name).random((count, height, width, 3))
    rows, columns = np.mgrid[:height, :width] / max(size)
    ground = 0.2 + 0.5 * np.stack([rows, columns, rows * columns], axis=-1)
    moved = [np.roll(rng[0, ..., :1] > 0.98, 3 * frame, axis=0) for frame in range(count)]
    frames = np.where(np.stack(moved), 0.95, ground[None]) + 0.04 * (rng - 0.5)
    return ArrayClip((np.clip(frames, 0, 1) * 255).astype(np.uint8), name=name)


class _BrokenError(Exception):
    """A check that failed, in words."""


def _require(kept: bool, told: str) -> None:
    if not kept:
        raise _BrokenError(told)


def _sizes(model: VideoRestorer, device: str) -> str:
    for size in SIZES:
        _restored(model, snowy(1, size), device)
    return ", ".join(f"{height} x {width}" for height, width in SIZES)


def _lengths(model: VideoRestorer, device: str) -> str:
    window = model.info.window or CHUNK
    lengths = sorted({1, 2, window, window + 1})
    for length in lengths:
        _restored(model, snowy(length, (32, 32)), device)
    return "clips of " + ", ".join(map(str, lengths)) + " frames"


def _restored(model: VideoRestorer, clip: ArrayClip, device: str) -> str:
    frames: list[Frame] = list(restore(model, clip, device=device))
    _require(len(frames) == len(clip), f"{len(clip)} frames became {len(frames)}")
    _require(all(frame.shape[:2] == clip.size for frame in frames), "a frame changed its size")
    return f"{len(frames)} frame{'s' * (len(frames) > 1)}"


def _repeatable(model: VideoRestorer, device: str) -> str:
    clip = _window(model, device)
    apart = _apart(_call(model, clip, device), _call(model, clip, device))
    _require(apart == 0, f"two calls with one clip differ by {apart:.2g}")
    return "two calls, equal bits"


def _batch(model: VideoRestorer, device: str) -> str:
    if not model.info.batchable:
        return "not claimed"
    clips = [_window(model, device, name) for name in ("a", "b")]
    together = _call(model, torch.cat(clips), device)
    apart = max(
        _apart(one[None], _call(model, clip, device))
        for one, clip in zip(together, clips, strict=True)
    )
    _require(apart <= CLOSE, f"two clips at once differ by {apart:.2g} from one at a time")
    return f"two at once within {apart:.1g}"


def _untouched(model: VideoRestorer, device: str) -> str:
    clip = _window(model, device)
    before = clip.clone()
    with inference(device, "float32"):
        call(model, clip)
    _require(torch.equal(clip, before), "the model writes into the clip that it is given")
    return "unchanged"


def _range(model: VideoRestorer, device: str) -> str:
    clip = _window(model, device)
    inputs = (clip, torch.zeros_like(clip), torch.ones_like(clip))
    answers = torch.stack([_call(model, given, device) for given in inputs])
    low, high = (float(value) for value in answers.aminmax())
    _require(
        low >= -1 and high <= 2, f"values from {low:.3g} to {high:.3g} are not frames in [0, 1]"
    )
    return f"{low:.3g} to {high:.3g}; black and white frames too"


def _stages(model: StagedRestorer, device: str) -> str:
    clip = _window(model, device)
    count = clip.shape[1]
    with inference(device, "float32"):
        codes = [encode(model, frame) for frame in clip[0]]
        whole = call(model, clip)
        apart = max(
            _apart(decode(model, clip, codes, range(kept, kept + 1))[:, 0], whole[:, kept])
            for kept in range(count)
        )
    _require(apart <= CLOSE, f"encode and decode differ by {apart:.2g} from the whole")
    return f"equal to the whole within {apart:.1g}{_reserve(model)}"


def _half(model: VideoRestorer, device: str) -> str:
    clip = _window(model, device)
    with inference(device, "bfloat16"):
        half = call(model, clip)
    squared = float((half - _call(model, clip, device)).square().mean())
    psnr = -10 * np.log10(max(squared, 1e-12))
    _require(psnr >= HALF_PSNR, f"an answer in 16 bits has {psnr:.1f} dB against that in 32")
    return f"{psnr:.1f} dB against float32{_reserve(model)}"


def _reserve(model: VideoRestorer) -> str:
    """Say so where an answer proves little: heads that start at zero hide what lies before them."""
    return "" if model.info.trained else "; says little, for the model is untrained"


def _window(model: VideoRestorer, device: str, name: str = "a") -> Tensor:
    """Make one clip [1, T, 3, H, W] that the model declares legal."""
    grid = plan_grid((64, 96), model.info, model.info.tile, 0)
    side = (grid.tiles[0].rows.stop, grid.tiles[0].columns.stop)
    return to_torch(list(snowy(model.info.window or 5, side, name))).to(device)


def _call(model: VideoRestorer, clip: Tensor, device: str) -> Tensor:
    with inference(device, "float32"):
        return call(model, clip.clone())  # which the model may spoil; `_untouched` looks at that


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
