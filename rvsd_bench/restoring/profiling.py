"""Measure what a restorer costs: parameters, multiplications, time and memory of a frame."""

from __future__ import annotations

import multiprocessing
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rvsd_bench.baselines.info import StagedRestorer, VideoRestorer
from rvsd_bench.baselines.learned import count_parameters
from rvsd_bench.baselines.loading import load
from rvsd_bench.baselines.spec import Spec, parse
from rvsd_bench.errors import InputError, ModelError
from rvsd_bench.isolation.confined import confines
from rvsd_bench.isolation.reporting import naming, reported
from rvsd_bench.restoring.calling import inference, require_precision
from rvsd_bench.restoring.runner import CHUNK, CONTEXT
from rvsd_bench.restoring.tiling import plan_grid

if TYPE_CHECKING:
    from rvsd_bench.isolation.limits import Isolation

MIB = 2**20
MOST_REPEATS = 1000
"""A method that does next to nothing is timed so often at most."""


@dataclass(frozen=True)
class Profile:
    """The cost of a restorer at one size, as the runner runs it: each frame encoded once."""

    method: str
    parameters: int | None
    """How many numbers the network has learned; None for a method that has no tensors."""
    height: int
    width: int
    window: int | None
    """Frames per call; None takes whole clips: 16 are restored in a call that sees 24."""
    gmacs_frame: float
    """Multiplications and additions for one more frame of a clip, in 1e9, by torch's counter.

    Only what torch computes is seen: 0 means that the method works outside of torch."""
    gmacs_window: float
    """The same for one call with a whole window, every frame of it restored."""
    ms_frame: float
    """Milliseconds for one more frame, the median of `repeats`; no reading, no writing."""
    repeats: int
    peak_mib: float
    """How far memory rose above where it stood with the model loaded. CPU: of the process."""
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Reported:
    """What others published of a method's cost; never measured here."""

    runtime_s: float
    gmacs: float
    source: str


CHART = "read off the bubble chart in SemiVDN's README; size, GPU, frame or clip not stated"
REPORTED: Mapping[str, Reported] = MappingProxyType(
    {
        "svdnet": Reported(runtime_s=0.125, gmacs=171, source=CHART),
        "semivdn": Reported(runtime_s=0.052, gmacs=47, source=CHART),
    }
)


def profile_apart(
    specs: Sequence[str],
    size: tuple[int, int],
    *,
    device: str = "cpu",
    precision: str = "float32",
    trust_code: bool = False,
    isolation: Isolation | None = None,
) -> Iterator[Profile]:
    """Measure models one after the other, each in a fresh process: its memory is its own.

    With an isolation, those that come in files are confined, and what they cost is their own word.
    Yields a row for each; raises what loading or running a model raises, InputError for a model
    whose process is killed, and ModelError for a confined one that fails or takes too much.
    """
    way: dict[str, Any] = {"size": size, "precision": precision}
    for text in specs:
        spec = parse(text)
        if isolation is not None and confines(spec):
            yield _profile_confined(spec, isolation, device, way)
        else:
            yield _profile_in_process(text, device=device, trust_code=trust_code, **way)


def load_and_profile(
    spec: str, *, size: tuple[int, int], device: str, precision: str, trust_code: bool
) -> Profile:
    """Load the model that a spec names and measure it, in this process; see `profile`."""
    model = load(spec, device=device, trust_code=trust_code)
    require_precision(model.info, precision)
    named = parse(spec)
    return profile(
        model, method=named.name or named.short, size=size, device=device, precision=precision
    )


def _profile_in_process(spec: str, **way: Any) -> Profile:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(load_and_profile, spec, **way).result()
        except BrokenProcessPool as error:
            raise InputError(
                f"{spec}: the system ended its process, for lack of memory most likely; use a "
                "smaller --size"
            ) from error


def _profile_confined(
    spec: Spec, isolation: Isolation, device: str, way: Mapping[str, Any]
) -> Profile:
    job = {"act": "profile", "way": way, "threads": torch.get_num_threads()}
    with naming(spec):
        rows = list(islice(reported(Profile, spec, isolation, device, job), 2))
        if len(rows) != 1:
            raise ModelError("it reported more or less than one row", "invalid")
    height, width = way["size"]
    given = {"height": height, "width": width, "precision": way["precision"]}
    return replace(rows[0], method=spec.name or spec.short, **given)


def profile(
    model: VideoRestorer,
    *,
    method: str,
    size: tuple[int, int],
    device: str = "cpu",
    precision: str = "float32",
    least_s: float = 2.0,
) -> Profile:
    """Measure a model that lies on `device` on frames of `size` (height, width).

    One call warms up; then calls are timed for `least_s` seconds, 3 of them at least unless one
    takes longer than that, and MOST_REPEATS at most. Where the model asks for tiles, each is
    computed in turn.
    """
    grid = plan_grid(size, model.info, model.info.tile, min(32, (model.info.tile or 64) // 2))
    tile, tiles = grid.tiles[0], len(grid.tiles)
    length = model.info.window or CHUNK + 2 * CONTEXT
    shape = (1, length, 3, tile.rows.stop, tile.columns.stop)
    clip = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    before = _memory(device)
    with inference(device, precision):
        work, frames = _one_step(model, clip)
        gmacs_step = tiles * _gmacs(work)  # warms up, too
        times = _times(lambda: [work() for _ in range(tiles)], device, least_s)
        peak = _memory(device) - before
        # Without stages a step is one call with a window: what it costs is known.
        gmacs_window = tiles * _gmacs(lambda: model(clip)) if model.info.staged else gmacs_step
    return Profile(
        method=method,
        parameters=count_parameters(model),
        height=size[0],
        width=size[1],
        window=model.info.window,
        gmacs_frame=gmacs_step / frames,
        gmacs_window=gmacs_window,
        ms_frame=1000 * statistics.median(times) / frames,
        repeats=len(times),
        peak_mib=peak / MIB,
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        precision=precision,
        threads=torch.get_num_threads(),
    )


def _one_step(model: VideoRestorer, clip: Tensor) -> tuple[Callable[[], Tensor], int]:
    """Return what the runner does for one step along a clip, and how many frames that gives."""
    info, length = model.info, clip.shape[1]
    whole = CHUNK if info.window is None else length
    step = 1 if info.emits == "center" else (info.stride or whole)
    if not info.staged:
        return (lambda: model(clip)), step
    staged = cast("StagedRestorer", model)
    codes = [staged.encode(frame[None]) for frame in clip[0]]
    window = tuple(torch.stack(parts, dim=1) for parts in zip(*codes, strict=True))
    first = (length - step) // 2
    keep = range(first, first + step)

    def work() -> Tensor:
        for frame in clip[0, :step]:
            staged.encode(frame[None])
        return staged.decode(clip, window, keep)

    return work, step


def _gmacs(work: Callable[[], Tensor]) -> float:
    """Count by torch's own counter, which takes a multiplication and an addition for two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops() / 2e9)


def _times(work: Callable[[], object], device: str, least_s: float) -> list[float]:
    times: list[float] = []
    spent = 0.0
    while len(times) < MOST_REPEATS and (
        spent < least_s or (len(times) < 3 and max(times) < least_s)
    ):
        begin = time.perf_counter()
        work()
        _finish(device)
        times.append(time.perf_counter() - begin)
        spent += times[-1]
    return times


def _finish(device: str) -> None:
    """Wait for a device that computes while Python goes on."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device.startswith("mps"):
        torch.mps.synchronize()


def _memory(device: str) -> float:
    """Return the most memory that was in use so far, in bytes."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # Linux; what it tells as maxrss begins with that of the parent process
        (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
        return float(peak) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)
