"""Take from real footage what a fit needs: short runs of frames, and the scene without its snow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.calibration.flakes import (
    RUN,
    SnowStatistics,
    measure,
    residual,
    threshold_levels,
)
from rvsd_bench.clip import ArrayClip, Clip, Frame
from rvsd_bench.colour import lin16
from rvsd_bench.errors import InputError
from rvsd_bench.generators.depth import ConstantDepth
from rvsd_bench.generators.light import estimate_light

WINDOW = (270, 480)
"""Height and width of the part of a picture that is looked at."""
RUNS = 6
LEAST_FRAMES = 12
LEAST_FLAKES = 200
MOST_ON_EDGES = 0.15
"""Correlation of the residual with the edges of the scene, at zero lag. In real snowfall it is
below 0, in footage from moving cameras above 0.2."""


@dataclass(frozen=True, eq=False)
class Footage:
    """What is known of one clip: its scene behind the snow, and its snow in numbers."""

    name: str
    fps: float
    width: int
    """Of the whole picture; the field of view refers to it."""
    background: Frame
    """The temporal median of the window that was looked at."""
    starts: tuple[int, ...]
    """The first frame of each run."""
    threshold: int
    """Levels from which on a residual is a flake."""
    statistics: SnowStatistics
    airlight: tuple[float, float, float]
    """Linear RGB, as the generator would estimate it."""
    veil: float
    """At most so much of the light of the darkest things is air's, in [0, 1)."""


def look(clip: Clip) -> Footage:
    """Measure the snow of a clip from a fixed camera.

    A window of at most 480 x 270 pixels is looked at: the darkest of nine, for flakes stand out
    from it. Raises InputError if the clip is too short, its camera moves, or too few flakes fall.
    """
    if len(clip) < LEAST_FRAMES:
        raise InputError(
            f"{clip.name} has {len(clip)} frames; calibrate needs {LEAST_FRAMES} at least"
        )
    indices = np.unique(np.linspace(0, len(clip) - 1, min(25, len(clip))).astype(int))
    whole = np.median(np.stack([clip[int(i)] for i in indices]), axis=0).astype(np.uint8)
    window = _darkest(whole)
    background = np.ascontiguousarray(whole[window])
    last = len(clip) - RUN
    starts = tuple(int(i) for i in np.unique(np.linspace(0, last, RUNS).astype(int)))
    runs = [[clip[start + k][window] for k in range(RUN)] for start in starts]
    threshold = threshold_levels(runs)
    _refuse_moving(clip.name, runs, threshold)
    statistics = measure(runs, threshold)
    if len(statistics.features) < LEAST_FLAKES:
        raise InputError(
            f"{clip.name} shows {len(statistics.features)} flakes in {2 * len(starts)} frames, "
            f"calibrate needs {LEAST_FLAKES} at least: give a clip of heavier snow"
        )
    light = _light(whole)
    return Footage(
        name=clip.name,
        fps=clip.fps,
        width=clip.size[1],
        background=background,
        starts=starts,
        threshold=threshold,
        statistics=statistics,
        airlight=light,
        veil=_veil(whole, light),
    )


def on_edges(runs: Sequence[Sequence[Frame]], threshold: int) -> float:
    """Return the correlation of the residual with the edges of the scene: the median over runs.

    Falling snow does not heed what it falls in front of; where a camera moves, all that exceeds
    both neighbours in time is an edge.
    """
    import cv2

    values = []
    for run in runs:
        still = cv2.GaussianBlur(np.median([f[..., 1] for f in run], axis=0), (0, 0), 1.0)
        edges = np.hypot(cv2.Sobel(still, -1, 1, 0), cv2.Sobel(still, -1, 0, 1))
        snow = np.clip(residual(*run[:3]), 0, 8 * threshold)
        if edges.std() > 0 and snow.std() > 0:
            values.append(float(np.corrcoef(snow.ravel(), edges.ravel())[0, 1]))
    return float(np.median(values)) if values else 0.0


def _light(picture: Frame) -> tuple[float, float, float]:
    clip = ArrayClip(picture[None])
    red, green, blue = estimate_light(clip, ConstantDepth(clip.size, 100.0))[0]
    return float(red), float(green), float(blue)


def _veil(picture: Frame, airlight: tuple[float, float, float]) -> float:
    """Return how bright the darkest hundredth of a scene is, over the air: haze, if it is black.

    Dark-object subtraction (Chavez, Remote Sens. Environ. 24, 1988).
    """
    darkest = (lin16()[picture] / 65535 / np.array(airlight)).min(axis=2)
    return float(np.clip(np.percentile(darkest, 1), 0, 0.95))


def _refuse_moving(name: str, runs: Sequence[Sequence[Frame]], threshold: int) -> None:
    correlation = on_edges(runs, threshold)
    if correlation > MOST_ON_EDGES:
        raise InputError(
            f"{name}: what changes lies on the edges of the scene (correlation {correlation:.2f}, "
            f"at most {MOST_ON_EDGES:g}), so its camera or its scene moves: give a clip from a "
            "tripod, or stabilise it first"
        )


def _darkest(picture: Frame) -> tuple[slice, slice]:
    height, width = picture.shape[:2]
    rows, columns = min(WINDOW[0], height), min(WINDOW[1], width)
    windows = [
        (slice(y, y + rows), slice(x, x + columns))
        for y in _places(height - rows)
        for x in _places(width - columns)
    ]
    return min(windows, key=lambda window: float(picture[window][..., 1].mean()))


def _places(room: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, room, 3).astype(np.int64))
