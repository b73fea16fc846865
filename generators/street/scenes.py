"""Lay out our rendered streets along their plans."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rvsd_bench.errors import unknown
from rvsd_bench.generators.street import parts
from rvsd_bench.generators.street.cars import car
from rvsd_bench.generators.street.colours import (
    PAINTS,
    SLATE,
    STONE,
    TILES,
    Array,
    Random,
    between,
    one_of,
)  # fmt: skip
from rvsd_bench.generators.street.houses import Facade, house
from rvsd_bench.generators.street.mesh import Mesh, boxes, join, quads, vector
from rvsd_bench.generators.street.plans import PLANS, Plan
from rvsd_bench.generators.street.sampling import pyramid
from rvsd_bench.generators.street.shading import Road, World
from rvsd_bench.generators.street.surfaces import (
    ASPHALT,
    COVER,
    LAWN,
    PAVING,
    PLAIN,
    noise,
    textures,
)
from rvsd_bench.seeds import stream

BEHIND_M, AHEAD_M = 12.0, 170.0


def world(scene: str, seed: int, travel_m: float) -> World:
    """Return a street long enough to drive `travel_m` along it from z = 0."""
    if scene not in PLANS:
        raise unknown("scene", scene, PLANS)
    plan = PLANS[scene]
    end = travel_m + AHEAD_M

    def random(what: str) -> Random:
        return stream(seed, "street", scene, what)

    houses = _sides(plan, end, lambda side: _row(plan, end, random(f"houses {side}")))
    spots = _trees(plan, end, random("trees"))
    cars = _cars(plan, end, random("cars"))
    green = [_tree(plan, spot, random(f"tree {i}")) for i, spot in enumerate(spots)]
    parked = [_parked(x, z, random(f"car {i}")) for i, (x, z) in enumerate(cars)]
    ground, behind = _ground(plan, end, random("road")), _far_end(plan, end, random("end"))
    mesh = join([ground, houses, _lamps(plan, end), behind, *green, *parked])
    painted = textures(seed)
    clouds = 0.16 * noise(random("clouds"), 1.6)
    return World(
        mesh,
        plan.sky,
        _road(plan, end, spots, cars),
        pyramid(painted),
        np.ascontiguousarray(painted[..., 3]),
        np.clip(clouds, -0.35, 0.3).astype(np.float32),
    )


def _sides(plan: Plan, end: float, row: Callable[[str], Mesh]) -> Mesh:
    """Return both sides of the street; a row is built facing +x and stands on the left."""
    left = row("left").moved((-plan.front, 0.12, 0))
    right = row("right").mirrored().moved((plan.front, 0.12, 0))
    return join([left, right])


def _row(plan: Plan, end: float, random: Random) -> Mesh:
    meshes, z = [], -BEHIND_M - between(random, 0, 5)
    while z < end:
        low, high = plan.storeys
        front = Facade(
            width=between(random, *plan.width),
            storeys=low + int(random.random() * (high - low + 1)),
            storey=plan.storey,
            brick=random.random() < 0.5,
            wall=one_of(random, plan.walls),
            roof=one_of(random, (SLATE, TILES)),
            shop=random.random() < plan.shops,
            bay=random.random() < plan.bays,
        )
        meshes.append(house(front, random).moved((0, 0, z)))
        if plan.gardens:
            meshes.append(_garden(plan, front.width, random).moved((0, 0, z)))
        z += front.width
        if random.random() < 0.12 and plan.gardens:
            z += between(random, 4, 8)
    return join(meshes)


def _garden(plan: Plan, width: float, random: Random) -> Mesh:
    edge = plan.front - plan.pavement - 0.2
    gate = 1.3
    if random.random() < 0.5:
        fence = parts.hedge(width - gate, between(random, 0.8, 1.3), random)
    else:
        colour = one_of(random, ((0.30, 0.14, 0.09), (0.45, 0.42, 0.38)))
        fence = parts.wall(width - gate, between(random, 0.5, 0.9), colour)
    post = boxes((edge - 0.17, 0, gate - 0.3), (edge + 0.17, 1.25, gate), PLAIN, STONE)
    return join([fence.moved((edge, 0, gate)), post])


def _ground(plan: Plan, end: float, random: Random) -> Mesh:
    length = end + BEHIND_M + 60
    back = (0, 0, length)
    strips = [
        quads((-plan.kerb, 0, -BEHIND_M), (2 * plan.kerb, 0, 0), back, ASPHALT, (0.16, 0.16, 0.165),
              tile_m=3.0)
    ]  # fmt: skip
    for side in (-1, 1):
        kerb, walk = side * plan.kerb, side * (plan.pavement - plan.kerb - 0.15)
        strips += [
            quads((kerb, 0, -BEHIND_M), back, (0, 0.12, 0), PLAIN, (0.30, 0.29, 0.28), tile_m=2.0),
            quads((kerb, 0.12, -BEHIND_M), (side * 0.15, 0, 0), back, PLAIN, (0.40, 0.39, 0.37),
                  tile_m=2.0),
            quads((kerb + side * 0.15, 0.12, -BEHIND_M), (walk, 0, 0), back, PAVING,
                  (0.36, 0.35, 0.33), tile_m=2.0),
            quads((side * plan.pavement, 0.12, -BEHIND_M), (side * 60, 0, 0), back, LAWN,
                  (0.075, 0.10, 0.04), tile_m=2.5),
        ]  # fmt: skip
    return join([*strips, _repairs(plan, end, random)])


def _repairs(plan: Plan, end: float, random: Random) -> Mesh:
    """Return patches of newer asphalt and covers, a few millimetres above the road."""
    count = int(end / 9)
    place = random.random((count, 3)) * [2 * plan.kerb - 3, 0, end] - [plan.kerb - 0.5, 0, 0]
    patch, cover = place[::2] + vector(0, 0.002, 0), place[1::2] + vector(0, 0.004, 0)
    wide = np.zeros((len(patch), 3))
    wide[:, 0] = 0.7 + 1.5 * random.random(len(patch))
    long = np.zeros((len(patch), 3))
    long[:, 2] = 1.0 + 7 * random.random(len(patch)) ** 2
    tone = np.array([0.135, 0.135, 0.138]) * (0.85 + 0.35 * random.random((len(patch), 1)))
    return join(
        [
            quads(patch, wide, long, ASPHALT, tone, tile_m=2.6),
            quads(cover, (0.64, 0, 0), (0, 0, 0.64), COVER, (0.14, 0.135, 0.13)),
        ]
    )


def _far_end(plan: Plan, end: float, random: Random) -> Mesh:
    """Return woods and roofs behind the last houses, so that the street does not end in nothing."""
    meshes = []
    for _ in range(26):
        x, z = between(random, -90, 90), end + between(random, 8, 40)
        grown = parts.tree(between(random, 9, 15), one_of(random, plan.leaves), random)
        meshes.append(grown.moved((x, 0, z)))
    hill = boxes((-260, 0, end + 60), (260, 7, end + 62), LAWN, (0.05, 0.07, 0.035), tile_m=9.0)
    return join([*meshes, hill])


def _trees(plan: Plan, end: float, random: Random) -> list[tuple[float, float]]:
    spots = []
    for side in (-1, 1):
        z = -5 + between(random, 0, plan.tree_every)
        while z < end:
            spots.append((side * (plan.kerb + 0.75), z))
            z += plan.tree_every * between(random, 0.85, 1.3)
    return spots


def _tree(plan: Plan, spot: tuple[float, float], random: Random) -> Mesh:
    grown = parts.tree(between(random, *plan.tree_height), one_of(random, plan.leaves), random)
    return grown.moved((spot[0], 0.12, spot[1]))


def _cars(plan: Plan, end: float, random: Random) -> list[tuple[float, float]]:
    return [
        (side * (plan.kerb - 1.08), float(z) + between(random, -0.4, 0.4))
        for side in (-1, 1)
        for z in np.arange(-4, end, 5.9)
        if random.random() < plan.parked
    ]


def _parked(x: float, z: float, random: Random) -> Mesh:
    return car(one_of(random, PAINTS)).moved((x, 0, z), turned=x < 0)


def _lamps(plan: Plan, end: float) -> Mesh:
    one = parts.lamp()
    meshes = []
    for i, z in enumerate(np.arange(4, end, 24.0)):
        side = -1 if i % 2 else 1
        turned = one if side < 0 else one.mirrored()
        meshes.append(turned.moved((side * (plan.kerb + 0.4), 0.12, z)))
    return join(meshes)


def _road(
    plan: Plan, end: float, trees: list[tuple[float, float]], cars: list[tuple[float, float]]
) -> Road:
    """Return the painted lines and the map of how much sky each place on the ground sees."""
    cell, wide = 0.2, plan.front + 2
    x = np.arange(-wide, wide, cell) + cell / 2
    z = np.arange(-BEHIND_M, end, cell) + cell / 2
    shade = np.repeat(_beside_walls(x, plan)[None, :], len(z), axis=0)
    for spot_x, spot_z in trees:
        _darken(shade, x, z, (spot_x, spot_z), (1.9, 1.9), 0.35)
        _darken(shade, x, z, (spot_x, spot_z), (0.3, 0.3), 0.5)
    for spot_x, spot_z in cars:
        _darken(shade, x, z, (spot_x, spot_z), (1.0, 2.3), 0.9)
    return Road(
        np.array(plan.lines),
        np.full((len(plan.lines), 3), 0.62),
        shade.astype(np.float32),
        np.array([-wide, -BEHIND_M]),
        cell,
    )


def _beside_walls(x: Array, plan: Plan) -> Array:
    """Return the share of sky between the rows of houses, and darker feet of walls and kerbs."""
    height = plan.storey * sum(plan.storeys) / 2
    to_left, to_right = x + plan.front, plan.front - x
    open_sky = 0.5 * (
        np.abs(to_left) / np.hypot(to_left, height) + np.abs(to_right) / np.hypot(to_right, height)
    )
    feet = 1 - 0.35 * np.exp(-np.minimum(np.abs(to_left), np.abs(to_right)) / 0.5)
    kerb = 1 - 0.25 * np.exp(-np.abs(np.abs(x) - plan.kerb + 0.05) / 0.15)
    return np.asarray((0.45 + 0.65 * open_sky) * feet * kerb)


def _darken(
    shade: Array,
    x: Array,
    z: Array,
    spot: tuple[float, float],
    half: tuple[float, float],
    by: float,
) -> None:
    """Take light from a soft-edged rectangle around a spot."""
    soft = 0.28 if half[1] > 0.5 and half[0] != half[1] else 0.7 * half[0]
    rows = slice(*np.searchsorted(z, [spot[1] - half[1] - 4 * soft, spot[1] + half[1] + 4 * soft]))
    across = 1 / (1 + np.exp((np.abs(x - spot[0]) - half[0]) / soft))
    along = 1 / (1 + np.exp((np.abs(z[rows] - spot[1]) - half[1]) / soft))
    shade[rows] *= 1 - by * along[:, None] * across[None, :]
