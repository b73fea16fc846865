"""Find the numbers for which a vector of residuals is shortest: scattered trials, then descent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

Vector = NDArray[np.float64]
STEP = 0.05
"""Of differences, in parts of the range: far enough that they stand out of the noise."""
LEAST_GAIN, LEAST_STEP = 0.01, 0.01
"""Where a descent gains less than this share of what is left, differences are halved, and when they
are this small it ends."""


@dataclass(frozen=True, eq=False)
class Place:
    """A place in the unit cube, its residuals, and there their slopes."""

    at: Vector
    residuals: Vector
    slopes: NDArray[np.float64]
    """[residuals, numbers]"""

    @property
    def cost(self) -> float:
        """Return the sum of the squares."""
        return float(self.residuals @ self.residuals)

    def errors(self) -> Vector:
        """Return the standard errors of the numbers, if residuals have unit errors."""
        curvature = self.slopes.T @ self.slopes
        covariance = np.linalg.pinv(curvature, rcond=1e-9)
        return np.asarray(np.sqrt(np.diag(covariance)))


def scattered(size: int, count: int, key: tuple[int | str, ...]) -> Iterator[Vector]:
    """Yield places that cover the unit cube evenly.

    In a Latin hypercube (McKay et al. 1979) each number takes every `count`-th of its range once.
    """
    draw = stream(*key)
    numbers = draw.random((count, size))
    strata = np.argsort(draw.random((count, size)), axis=0)
    yield from (strata + numbers) / max(count, 1)


def descend(
    function: Callable[[Vector], Vector], start: Vector, rounds: int, step: float = STEP
) -> Place:
    """Return where the sum of squared residuals is least near a place of the unit cube.

    Levenberg and Marquardt's damped steps, with slopes by differences that point into the cube;
    numbers at a wall stay there. A fit to noisy statistics needs no finer method: noise that is
    common to all trials drops out of the differences.
    """
    here, damping = _surveyed(function, start, function(start), step), 0.1
    for _ in range(rounds):
        before = here.cost
        for _ in range(4):
            there = np.clip(here.at + _stride(here, damping), 0, 1)
            residuals = function(there)
            if residuals @ residuals < before:
                here, damping = _surveyed(function, there, residuals, step), damping / 4
                break
            damping *= 6
        if here.cost > (1 - LEAST_GAIN) * before:
            if step < 2 * LEAST_STEP:
                break
            step, damping = step / 2, 0.1
            here = _surveyed(function, here.at, here.residuals, step)
    return here


def _stride(here: Place, damping: float) -> Vector:
    """Return a damped step; numbers that would leave the cube from its wall do not take part."""
    pull = -here.slopes.T @ here.residuals
    free = ~((here.at <= 0) & (pull < 0) | (here.at >= 1) & (pull > 0))
    slopes = here.slopes[:, free]
    curvature = slopes.T @ slopes
    damped = curvature + damping * np.diag(np.diag(curvature)) + 1e-9 * np.eye(len(curvature))
    move = np.zeros(len(here.at))
    move[free] = np.linalg.solve(damped, pull[free])
    return np.clip(move, -0.25, 0.25)


def _surveyed(
    function: Callable[[Vector], Vector], at: Vector, residuals: Vector, step: float
) -> Place:
    slopes = []
    for index in range(len(at)):
        beside = at.copy()
        beside[index] += step if at[index] < 0.5 else -step
        slopes.append((function(beside) - residuals) / (beside[index] - at[index]))
    return Place(at, residuals, np.stack(slopes, axis=1))
