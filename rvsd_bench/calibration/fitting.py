"""Fit the numbers of a scene to real footage: scattered trials, then an evolution strategy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rvsd_bench.calibration.flakes import measure
from rvsd_bench.calibration.footage import Footage
from rvsd_bench.calibration.imitating import (
    COMPONENTS,
    Distance,
    compare,
    divergence,
    imitate,
)
from rvsd_bench.calibration.searching import Vector, search
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene
from rvsd_bench.generators.size_law import size_law
from rvsd_bench.seeds import stream

FULL_FRAME_MM = 36.0
"""Width of the sensor for which the focal length is written down."""
HELD_OUT = 1
"""Added to the seed for the snow by which a fit is judged: it was not fitted to these flakes."""
SCATTERED = 0.4
"""The share of all trials that is spread over the ranges before the search begins at the best."""
FIRST_STEP = 0.06


@dataclass(frozen=True)
class Knob:
    """A number that is fitted: where it is in the scene, and its range."""

    path: str
    low: float
    high: float

    def value(self, place: float) -> float:
        """Return the number at a place in [0, 1]: logarithmic, or even if the range has a 0."""
        if self.low <= 0:
            return self.low + (self.high - self.low) * place
        return self.low * math.exp(place * math.log(self.high / self.low))

    def place(self, value: float) -> float:
        """Return where in [0, 1] a number lies."""
        if self.low <= 0:
            part = (value - self.low) / (self.high - self.low)
        else:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        return min(max(part, 0.0), 1.0)


@dataclass(frozen=True)
class Fit:
    """A fitted scene, and how far its snow is from the real one, before and after."""

    scene: Scene
    knobs: tuple[Knob, ...]
    before: tuple[Distance, ...]
    """One per clip, of the scene that the fit began with."""
    after: tuple[Distance, ...]
    divergence: tuple[float, float]
    """Symmetric Kullback-Leibler divergence of Gaussian mixtures, before and after: a second
    opinion, that nothing was fitted to."""
    trials: int


def knobs(footage: Sequence[Footage]) -> tuple[Knob, ...]:
    """Return the numbers that are fitted; no exposure is longer than a frame of any clip."""
    frame_s = min(1 / real.fps for real in footage)
    return (
        Knob("snow.rate_mm_per_h", 0.05, 6.0),
        Knob("snow.melted_min_mm", 0.1, 1.5),
        Knob("camera.hfov_deg", 12.0, 100.0),
        Knob("camera.shutter_s", frame_s / 100, frame_s),
        Knob("camera.psf_sigma_px", 0.3, 3.0),
        Knob("camera.f_number", 2.8, 32.0),
        Knob("light.flake_gain", 0.2, 4.0),
        Knob("wind.velocity_m_per_s", -6.0, 6.0),
    )


def turned(base: Scene, turns: Sequence[Knob], places: Vector) -> Scene:
    """Return a scene with the numbers at places in [0, 1]; of the wind only the part across.

    With the f-number goes the focal length that a full frame needs for the field of view.
    """
    scene = base
    for knob, place in zip(turns, places, strict=True):
        table, name = knob.path.split(".")
        part, value = getattr(scene, table), knob.value(float(place))
        new = (value, *part.velocity_m_per_s[1:]) if table == "wind" else value
        scene = replace(scene, **{table: replace(part, **{name: new})})
    if all(knob.path != "camera.f_number" for knob in turns):
        return scene
    half = math.tan(math.radians(scene.camera.hfov_deg) / 2)
    focal_mm = min(max(FULL_FRAME_MM / 2 / half, 1.0), 600.0)
    return replace(scene, camera=replace(scene.camera, focal_mm=focal_mm))


def fit(
    footage: Sequence[Footage],
    base: Scene,
    turns: Sequence[Knob],
    *,
    background_m: float,
    trials: int,
    seed: int = 0,
    report: Callable[[int, float], None] = lambda trial, best: None,
) -> Fit:
    """Turn the numbers `turns` of a scene until its snow is like that of some clips.

    The same flakes fall in every trial (common random numbers), so that trials differ by the scene
    alone; the distances before and after are those of other flakes. `report` is told the
    number of trials done and the least distance so far.
    """
    tried: list[tuple[float, Vector]] = []

    def cost(places: Vector) -> float:
        try:
            parts = compare(footage, turned(base, turns, places), background_m, seed)
            value = float(np.mean([part.total for part in parts]))
        except InputError:  # more flakes than the generator simulates
            value = 100.0
        tried.append((value, places))
        report(len(tried), min(tried, key=lambda t: t[0])[0])
        return value

    def best() -> Vector:
        return min(tried, key=lambda t: t[0])[1]

    for places in _scattered(_start(footage, base, turns), turns, seed, int(SCATTERED * trials)):
        cost(places)
    for _ in search(cost, best(), FIRST_STEP, ("calibrate", seed)):
        if len(tried) >= trials:
            break
    found = turned(base, turns, best())
    judged = [compare(footage, s, background_m, seed + HELD_OUT) for s in (base, found)]
    return Fit(
        scene=_with_haze(found, footage, background_m),
        knobs=tuple(turns),
        before=tuple(judged[0]),
        after=tuple(judged[1]),
        divergence=(
            _divergence(footage, base, background_m, seed + HELD_OUT),
            _divergence(footage, found, background_m, seed + HELD_OUT),
        ),
        trials=len(tried),
    )


def _divergence(footage: Sequence[Footage], scene: Scene, background_m: float, seed: int) -> float:
    values = []
    for real in footage:
        synthetic = measure(imitate(real, scene, background_m, seed), real.threshold)
        enough = len(synthetic.features) >= 2 * COMPONENTS
        values.append(divergence(real.statistics, synthetic) if enough else math.nan)
    return float(np.mean(values))


def _start(footage: Sequence[Footage], base: Scene, turns: Sequence[Knob]) -> Vector:
    """Return where to begin: the base, with the wind that the slant of the motion tells."""
    across, down = np.mean([real.statistics.motion_px for real in footage], axis=0)
    camera = base.camera
    aperture_mm = camera.focal_mm / camera.f_number
    focal_mm = FULL_FRAME_MM / 2 / math.tan(math.radians(camera.hfov_deg) / 2)
    values = {
        "snow.rate_mm_per_h": base.snow.rate_mm_per_h,
        "snow.melted_min_mm": base.snow.melted_min_mm,
        "camera.hfov_deg": camera.hfov_deg,
        "camera.shutter_s": camera.shutter_s,
        "camera.psf_sigma_px": camera.psf_sigma_px,
        "camera.f_number": focal_mm / aperture_mm,
        "light.flake_gain": base.light.flake_gain,
        "wind.velocity_m_per_s": across / max(down, 1.0),  # flakes fall at about 1 m/s
    }
    return np.array([knob.place(values[knob.path]) for knob in turns])


def _scattered(start: Vector, turns: Sequence[Knob], seed: int, count: int) -> Iterator[Vector]:
    """Yield the start, then places that cover the ranges evenly; the wind stays near its start.

    In a Latin hypercube (McKay et al. 1979) each number takes every `count`-th of its range once.
    """
    yield start
    draw = stream("calibrate", "scattered", seed)
    numbers = draw.random((count, len(turns)))
    strata = np.argsort(draw.random((count, len(turns))), axis=0)
    for cell in (strata + numbers) / max(count, 1):
        near = [place + 0.1 * (c - 0.5) for place, c in zip(start, cell)]
        yield np.clip([n if k.low <= 0 else c for n, k, c in zip(near, turns, cell)], 0, 1)


def _with_haze(scene: Scene, footage: Sequence[Footage], background_m: float) -> Scene:
    """Return the scene with the fog that the darkest things show, less what the flakes take."""
    veil = float(np.median([real.veil for real in footage]))
    extinction = -math.log1p(-veil) / background_m - size_law(scene.snow).extinction_per_m
    fog = replace(scene.fog, extinction_per_m=min(max(extinction, 0.0), 0.2))
    return replace(scene, fog=fog)
