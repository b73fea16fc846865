"""Try numbers on the clips that a scene is fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.calibration.comparing import misfit
from rvsd_bench.calibration.flakes import SnowStatistics
from rvsd_bench.calibration.footage import Footage
from rvsd_bench.calibration.imitating import imitation
from rvsd_bench.calibration.knobs import Knob, Take, Vector, read_off, turned
from rvsd_bench.errors import InputError

TOO_FAR = 30.0
"""The residual in every statistic of snow that cannot be simulated, in standard errors."""
RATE = "snow.rate_mm_per_h"
MOST_PER_STEP = math.log(4)


@dataclass(frozen=True, eq=False)
class Trials:
    """Clips, the numbers that are turned for them, and what was rendered so far.

    A place is a point of the unit cube: first the numbers that all clips share, then for each clip
    those that it has of its own.
    """

    footage: Sequence[Footage]
    base: Take
    turns: Sequence[Knob]
    background_m: float
    seed: int
    report: Callable[[int, float], None]
    """Is told the number of renderings and the root mean square misfit of the latest."""
    done: dict[tuple[int, bytes], SnowStatistics | None] = field(default_factory=dict)
    """No snowfall is rendered twice; None for what cannot be simulated."""

    @property
    def columns(self) -> NDArray[np.int64]:
        """Return for each clip where in a place its numbers are, [clips, numbers]."""
        shared = [i for i, knob in enumerate(self.turns) if not knob.per_clip]
        own = [i for i, knob in enumerate(self.turns) if knob.per_clip]
        table = np.zeros((len(self.footage), len(self.turns)), np.int64)
        table[:, shared] = np.arange(len(shared))
        own_places = np.arange(len(own) * len(self.footage)).reshape(len(self.footage), len(own))
        table[:, own] = len(shared) + own_places
        return table

    @property
    def size(self) -> int:
        """Return how many numbers a place has."""
        return int(self.columns.max()) + 1

    def take(self, clip: int, places: Vector) -> Take:
        """Return the take of a clip."""
        return turned(self.base, self.turns, places[self.columns[clip]])

    def snow(self, clip: int, places: Vector) -> SnowStatistics | None:
        """Return the synthetic snow of a clip, or None if it cannot be simulated."""
        key = clip, places[self.columns[clip]].tobytes()
        if key not in self.done:
            footage, take = self.footage[clip], self.take(clip, places)
            try:
                self.done[key] = imitation(footage, take, self.background_m, self.seed)
            except InputError:
                self.done[key] = None
        return self.done[key]

    def residuals(self, places: Vector) -> Vector:
        """Return the misfits of all clips, and how unusual each number is, in standard errors."""
        parts = []
        for clip, footage in enumerate(self.footage):
            real, snow = footage.statistics, self.snow(clip, places)
            itself = misfit(real, real)
            parts.append(np.full_like(itself, TOO_FAR) if snow is None else misfit(real, snow))
        whole = np.concatenate(parts)
        self.report(len(self.done), math.sqrt(float(np.mean(whole**2))))
        unusual = np.zeros(self.size)
        for columns in self.columns:
            pairs = zip(self.turns, places[columns], strict=True)
            unusual[columns] = [knob.surprise(float(place)) for knob, place in pairs]
        return np.concatenate([whole, unusual])

    def cost(self, places: Vector) -> float:
        """Return the sum of the squares of the residuals."""
        residuals = self.residuals(places)
        return float(residuals @ residuals)

    def with_right_count(self, places: Vector) -> Vector:
        """Return a place with the rate at which as many flakes are seen as in the real clips.

        Their number is about proportional to the rate; without this, most scattered places would
        only tell that their snow is too dense or too sparse.
        """
        snows = [self.snow(clip, places) for clip in range(len(self.footage))]
        paths = [knob.path for knob in self.turns]
        if RATE not in paths or any(snow is None for snow in snows):
            return places
        ratios = [
            math.log((footage.statistics.per_megapixel + 1) / (snow.per_megapixel + 1))
            for footage, snow in zip(self.footage, snows)
            if snow is not None
        ]
        index = paths.index(RATE)
        column, knob = int(self.columns[0, index]), self.turns[index]
        step = min(max(float(np.mean(ratios)), -MOST_PER_STEP), MOST_PER_STEP)
        better = places.copy()
        better[column] = knob.place(knob.value(float(places[column])) * math.exp(step))
        return better

    def start(self) -> Vector:
        """Return where to begin: the base, with the wind that the slant of each motion tells."""
        places = np.zeros(self.size)
        for footage, columns in zip(self.footage, self.columns):
            across, down = footage.statistics.motion_px
            for knob, column in zip(self.turns, columns):
                value = read_off(self.base, knob.path)
                if knob.path.startswith("wind"):
                    value = across / max(down, 1.0)  # flakes fall at about 1 m/s
                places[column] = knob.place(value)
        return places
