"""Find the minimum of a function of a few numbers that has no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

Vector = NDArray[np.float64]


def search(
    function: Callable[[Vector], float],
    start: Vector,
    step: float,
    key: tuple[int | str, ...],
) -> Iterator[tuple[Vector, float]]:
    """Yield ever new points of the unit cube and their values, ever nearer to a minimum.

    CMA-ES (Hansen, arXiv:1604.00772) with its standard constants: a normal distribution learns
    from the better half of each generation. Points outside the cube are put on its wall, and
    their distance from it is a penalty.
    """
    from scipy.special import ndtri

    size = len(start)
    count = 4 + int(3 * math.log(size))
    weights = np.log((count + 1) / 2) - np.log(np.arange(1, count // 2 + 1))
    weights /= weights.sum()
    mass = 1 / float((weights**2).sum())
    c_step, c_path = (
        (mass + 2) / (size + mass + 5),
        (4 + mass / size) / (size + 4 + 2 * mass / size),
    )
    c_one = 2 / ((size + 1.3) ** 2 + mass)
    c_many = min(1 - c_one, 2 * (mass - 2 + 1 / mass) / ((size + 2) ** 2 + mass))
    damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (size + 1)) - 1) + c_step
    usual = math.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
    mean, covariance, draw = np.array(start), np.eye(size), stream(*key)
    step_path, path = np.zeros(size), np.zeros(size)
    while True:
        values, axes = np.linalg.eigh(covariance)
        root = axes * np.sqrt(np.maximum(values, 1e-12))
        normal = ndtri(np.clip(draw.random((count, size)), 1e-9, 1 - 1e-9))
        moves = normal @ root.T
        results = []
        for move in moves:
            free = mean + step * move
            point = np.clip(free, 0, 1)
            value = function(point)
            yield point, value
            results.append(value + float(((free - point) ** 2).sum()))
        best = moves[np.argsort(results, kind="stable")[: len(weights)]]
        moved = weights @ best
        mean = mean + step * moved
        whitened = (axes / np.sqrt(np.maximum(values, 1e-12))) @ axes.T @ moved
        step_path = (1 - c_step) * step_path + math.sqrt(c_step * (2 - c_step) * mass) * whitened
        path = (1 - c_path) * path + math.sqrt(c_path * (2 - c_path) * mass) * moved
        covariance = (
            (1 - c_one - c_many) * covariance
            + c_one * np.outer(path, path)
            + c_many * (best * weights[:, None]).T @ best
        )
        step *= math.exp(c_step / damping * (float(np.linalg.norm(step_path)) / usual - 1))
