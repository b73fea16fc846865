"""Fit the numbers of a scene to real footage: shared physics, and what each clip has of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rvsd_bench.calibration.comparing import Distance, distance, divergence
from rvsd_bench.calibration.footage import Footage
from rvsd_bench.calibration.imitating import imitation, with_haze
from rvsd_bench.calibration.knobs import Knob, Take, Vector, read_off, turned
from rvsd_bench.calibration.searching import Place, descend, scattered
from rvsd_bench.calibration.trials import Trials
from rvsd_bench.generators import Scene

HELD_OUT = 1
"""Added to the seed for the snow by which a fit is judged: it was not fitted to these flakes."""
SCATTERED = 0.3
"""The share of all trials that is spread over the ranges before descents begin at the best."""
DESCENTS, FIRST_ROUNDS = 2, 2
"""So many descents begin, and the best goes on after so many rounds."""
NEAR_START = 0.15
"""Winds are scattered so near to what the slant of the motion tells, in parts of the range."""


@dataclass(frozen=True)
class Found:
    """A fitted number and its standard error, of its logarithm if the range has no 0."""

    knob: Knob
    value: float
    error: float


@dataclass(frozen=True)
class Fit:
    """A fitted scene, and how far its snow is from the real one, before and after."""

    scene: Scene
    crf: float
    """Of the coder; 0 if there was none."""
    found: tuple[Found, ...]
    """Of what each clip has of its own, the mean of all clips."""
    before: tuple[Distance, ...]
    """One per clip, of the scene that the fit began with, seen through the fitted coder."""
    after: tuple[Distance, ...]
    divergence: tuple[float, float]
    """Symmetric Kullback-Leibler divergence of Gaussian mixtures, before and after: a second
    opinion, that nothing was fitted to."""
    misfit: float
    """Root mean square of all residuals, in standard errors: about 1 if the law is true."""
    trials: int


def fit(
    footage: Sequence[Footage],
    base: Take,
    turns: Sequence[Knob],
    *,
    background_m: float,
    trials: int,
    seed: int = 0,
    report: Callable[[int, float], None] = lambda trial, misfit: None,
) -> Fit:
    """Turn the numbers `turns` of a take until its snow is like that of some clips.

    The same flakes fall in every trial (common random numbers), so that trials differ by the scene
    alone; the distances before and after are those of other flakes. About `trials` snowfalls are
    rendered. `report` is told the number of renderings and the misfit of the latest.
    """
    run = Trials(footage, base, turns, background_m, seed, report)
    best = _searched(run, trials)
    ends = [run.take(clip, best.at) for clip in range(len(footage))]
    middle = turned(base, turns, best.at[run.columns].mean(axis=0))
    before, kl_before = _judged(run, [replace(base, crf=take.crf) for take in ends])
    after, kl_after = _judged(run, ends)
    return Fit(
        scene=with_haze(middle.scene, float(np.median([f.veil for f in footage])), background_m),
        crf=middle.crf,
        found=tuple(_found(run, best, middle)),
        before=before,
        after=after,
        divergence=(kl_before, kl_after),
        misfit=math.sqrt(best.cost / len(best.residuals)),
        trials=len(run.done),
    )


def _searched(run: Trials, trials: int) -> Place:
    """Scatter, each place with its rate put right, and descend from the best ones."""
    most = max(trials // len(run.footage), 1)
    count = int(SCATTERED * most / 2)
    start, tried = run.start(), []
    for places in (start, *_scattered(run, start, count)):
        pair = [(run.cost(trial), trial) for trial in (places, run.with_right_count(places))]
        tried.append(min(pair, key=_cost))

    def rounds() -> int:
        left = most - len(run.done) / len(run.footage)
        return max(round(left / (len(run.turns) + 1.5)), 0)

    nearest = sorted(tried, key=_cost)[: DESCENTS if rounds() > FIRST_ROUNDS else 1]
    begun = []
    for _, places in nearest:
        begun.append(descend(run.residuals, places, min(FIRST_ROUNDS, rounds())))
    best = min(begun, key=lambda place: place.cost)
    return descend(run.residuals, best.at, rounds())


def _cost(trial: tuple[float, Vector]) -> float:
    return trial[0]


def _scattered(run: Trials, start: Vector, count: int) -> list[Vector]:
    low, high = np.zeros(run.size), np.ones(run.size)
    for columns in run.columns:
        for knob, column in zip(run.turns, columns, strict=True):
            if knob.even:
                low[column], high[column] = start[column] + NEAR_START * np.array([-0.5, 0.5])
            elif knob.usual is not None:
                reach = 1.5 * knob.spread / knob.width
                low[column], high[column] = knob.place(knob.usual) + reach * np.array([-1, 1])
    cube = scattered(run.size, count, ("calibrate", "scattered", run.seed))
    middle = np.full(run.size, 0.5)
    return [np.clip(low + (high - low) * places, 0, 1) for places in (middle, *cube)]


def _found(run: Trials, best: Place, middle: Take) -> list[Found]:
    errors = best.errors()[run.columns].mean(axis=0)
    return [
        Found(knob, read_off(middle, knob.path), float(error) * knob.width)
        for knob, error in zip(run.turns, errors, strict=True)
    ]


def _judged(run: Trials, takes: Sequence[Take]) -> tuple[tuple[Distance, ...], float]:
    """Return the distances of other flakes in given takes from each clip, and the divergence."""
    distances, apart = [], []
    for real, take in zip(run.footage, takes, strict=True):
        snow = imitation(real, take, run.background_m, run.seed + HELD_OUT)
        distances.append(distance(real.statistics, snow))
        apart.append(divergence(real.statistics, snow))
    return tuple(distances), float(np.mean(apart))
