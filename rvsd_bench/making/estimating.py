"""Estimate what a dataset will take, by rendering a few frames of a few of its videos."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rvsd_bench.errors import OutputError
from rvsd_bench.files import free_bytes
from rvsd_bench.making.job import Job
from rvsd_bench.making.planning import open_clip
from rvsd_bench.making.publishing import degradation, degrader, drawn, shoot
from rvsd_bench.making.writing import opened_video

MOST = 3
"""Videos, and frames of each, that are rendered."""
CERTAIN = 0.7
"""The part of an estimate that a dataset takes at the least: estimates are within 30 %."""
_RAW_BYTES = 3 + 3 + 3 + 6.1
"""Of a pixel that is not compressed: the clean, snowy and degraded side, and the layers."""


@dataclass(frozen=True)
class Estimate:
    """What the videos that are still to be made will take."""

    bytes: int
    seconds: float
    """On this machine, with one process."""


def estimate(jobs: Sequence[Job]) -> Estimate:
    """Render up to 3 frames of up to 3 videos and carry their sizes and times over to all.

    Nothing is left on disk. Raises the error of a video that cannot be prepared.
    """
    samples = [_measure(jobs[index]) for index in _spread(len(jobs))]
    pixels = sum(_pixels(job) for job in jobs)
    seen = sum(sample.pixels for sample in samples) or 1
    return Estimate(
        bytes=round(sum(sample.bytes for sample in samples) * pixels / seen),
        seconds=sum(sample.frames_s for sample in samples) * pixels / seen
        + sum(sample.prepare_s for sample in samples) * len(jobs) / (len(samples) or 1),
    )


def require_room(out: Path, jobs: Sequence[Job]) -> None:
    """Raise OutputError if the disk that `out` lies on is clearly too small for the videos.

    Frames are rendered for an estimate only where uncompressed ones would not fit: mostly nothing
    is done here.
    """
    free = free_bytes(out)
    if sum(_pixels(job) for job in jobs) * _RAW_BYTES <= free:
        return
    needed = estimate(jobs).bytes
    if needed * CERTAIN > free:
        raise OutputError(
            f"{out}: {len(jobs)} videos take about {needed} bytes, but there is room for {free}: "
            "free some space and run again, or choose another --out"
        )


@dataclass(frozen=True)
class _Sample:
    pixels: int
    bytes: int
    frames_s: float
    prepare_s: float


def _measure(job: Job) -> _Sample:
    from rvsd_bench.generators import render_frame

    began = time.perf_counter()
    clip = open_clip(job.video.source.path, job.options)
    shot = shoot(job, clip)
    render_frame(shot, 0, clip[0])  # compiled now, if it was not before
    prepared = time.perf_counter()
    indices = _spread(len(clip))
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        place = replace(job.place, root=Path(name))
        layered, spoiled = job.options.layers != "none", degrader(job, degradation(job), clip)
        with opened_video(place, clip.fps, layers=layered, degrader=spoiled) as video:
            for index in indices:
                clean = video.clean.write(clip[index])
                video.add(drawn(shot, index, clean, job.options.weather))
        size = sum(file.stat().st_size for file in Path(name).rglob("*") if file.is_file())
    pixels = len(indices) * clip.size[0] * clip.size[1]
    return _Sample(pixels, size, time.perf_counter() - prepared, prepared - began)


def _pixels(job: Job) -> int:
    height, width = job.video.source.size
    return job.video.source.frames * height * width


def _spread(count: int) -> list[int]:
    """Return up to `MOST` indices below `count`, evenly apart."""
    last = max(1, min(count, MOST) - 1)
    return sorted({round(i * (count - 1) / last) for i in range(min(count, MOST))})
