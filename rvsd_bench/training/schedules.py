"""Say the learning rate of a step: a pure function, so that a resumed training needs no memory."""

from __future__ import annotations

import math

from rvsd_bench.training.recipe import Schedule


def rate(schedule: Schedule, highest: float, step: int, steps: int) -> float:
    """Return the learning rate of `step`, 0 to steps - 1.

    It rises linearly to `highest` in `warm_up` steps; then polynomial and cosine fall towards
    `least_lr`, which they would reach at `steps`.
    """
    if step < schedule.warm_up:
        return highest * (step + 1) / schedule.warm_up
    if schedule.kind == "constant":
        return highest
    done = (step - schedule.warm_up) / max(1, steps - schedule.warm_up)
    if schedule.kind == "cosine":
        left = (1 + math.cos(math.pi * done)) / 2
    else:
        left = (1 - done) ** schedule.power
    return schedule.least_lr + (highest - schedule.least_lr) * left
