"""Build trees, hedges, garden walls and lamps. Sizes in metres."""

from __future__ import annotations

import numpy as np

from rvsd_bench.generators.street.colours import METAL, STONE, Array, Colour, Random
from rvsd_bench.generators.street.mesh import Mesh, boxes, join, prism, quads
from rvsd_bench.generators.street.surfaces import BARK, BRICK, LAWN, LEAVES, PLAIN


def tree(height: float, colour: Colour, random: Random) -> Mesh:
    """Return a leafy street tree at the origin: a trunk, boughs, and some 260 sprays of leaves."""
    trunk = 0.32 * height
    bark: Colour = (0.10, 0.085, 0.07)
    parts = [prism((0, 0, 0), (0, trunk, 0), (0.16, 0.11), BARK, bark)]
    boughs = 9
    turn = 2 * np.pi * (np.arange(boughs) / boughs + 0.06 * random.random(boughs))
    reach = 0.26 * height * (0.6 + 0.5 * random.random(boughs))
    rise = height * (0.42 + 0.46 * random.random(boughs))
    tips = np.stack([reach * np.cos(turn), rise, reach * np.sin(turn)], axis=1)
    parts += [prism((0, trunk * 0.9, 0), tip, (0.08, 0.02), BARK, bark, sides=4) for tip in tips]
    sprays = 30
    middle = np.repeat(np.vstack([tips, [0, 0.92 * height, 0]]), sprays, axis=0)
    spread = 0.17 * height * np.cbrt(random.random((len(middle), 1)))
    centre = middle + spread * _directions(random, len(middle))
    size = 0.085 * height * (0.7 + 0.6 * random.random((len(middle), 1)))
    first, second = _directions(random, len(middle)), _directions(random, len(middle))
    second -= (first * second).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    lift = (centre[:, 1:2] - 0.35 * height) / (0.65 * height)
    inner = np.linalg.norm(centre[:, ::2], axis=1, keepdims=True) / (0.3 * height)
    tone = (0.35 + 0.5 * lift + 0.25 * inner) * (0.75 + 0.5 * random.random((len(middle), 1)))
    parts.append(
        quads(
            centre - size * (first + second), 2 * size * first, 2 * size * second, LEAVES,
            np.clip(tone, 0.12, 1.3) * np.array(colour),
        )
    )  # fmt: skip
    return join(parts)


def _directions(random: Random, count: int) -> Array:
    """Return unit vectors drawn evenly from the sphere, float64 [count, 3]."""
    up, turn = 2 * random.random(count) - 1, 2 * np.pi * random.random(count)
    flat = np.sqrt(1 - up**2)
    return np.stack([flat * np.cos(turn), up, flat * np.sin(turn)], axis=1)


def lamp(reach: float = 1.8) -> Mesh:
    """Return a street lamp at the origin whose arm reaches towards +x."""
    return join(
        [
            prism((0, 0, 0), (0, 1.1, 0), (0.11, 0.09), PLAIN, METAL, sides=8),
            prism((0, 1.1, 0), (0, 7.2, 0), (0.065, 0.045), PLAIN, METAL, sides=8),
            prism((0, 7.2, 0), (reach, 7.7, 0), (0.045, 0.035), PLAIN, METAL),
            boxes(
                (reach - 0.2, 7.62, -0.15), (reach + 0.55, 7.78, 0.15), PLAIN, (0.25, 0.25, 0.26)
            ),
        ]
    )


def hedge(length: float, height: float, random: Random) -> Mesh:
    """Return a hedge from z = 0 to `length`, 0.7 m deep, with leaves sticking out."""
    colour = (0.045, 0.075, 0.025)
    body = boxes((-0.35, 0, 0), (0.35, height, length), LAWN, colour, tile_m=0.9)
    count = int(length * 14)
    place = random.random((count, 3)) * [0.8, height * 0.9, length] + [-0.4, 0.15, 0]
    first, second = _directions(random, count), _directions(random, count)
    tone = 0.5 + 0.9 * random.random((count, 1)) * (0.4 + place[:, 1:2] / height)
    leaves = quads(place - 0.16, 0.36 * first, 0.36 * second, LEAVES, tone * np.array(colour) * 1.5)
    return join([body, leaves])


def wall(length: float, height: float, colour: Colour) -> Mesh:
    """Return a low garden wall with a coping, from z = 0 to `length`."""
    return join(
        [
            boxes((-0.12, 0, 0), (0.12, height, length), BRICK, colour, tile_m=2.0),
            boxes((-0.17, height, 0), (0.17, height + 0.08, length), PLAIN, STONE),
        ]
    )
