"""Build the houses of our rendered street, facing +x. Sizes in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rvsd_bench.generators.street.colours import (
    METAL,
    STONE,
    TILES,
    WHITE,
    Array,
    Colour,
    Random,
    between,
    one_of,
)  # fmt: skip
from rvsd_bench.generators.street.mesh import Mesh, boxes, faces, join, prism, quads, vector
from rvsd_bench.generators.street.surfaces import (
    BRICK,
    CURTAIN,
    DOOR,
    GLASS,
    PLAIN,
    PLASTER,
    ROOF,
    SHOP,
    WINDOW,
)  # fmt: skip


@dataclass(frozen=True)
class Facade:
    """The front of one house: x = 0 facing +x, from z = 0 to `width`."""

    width: float
    storeys: int
    storey: float
    brick: bool
    wall: Colour
    roof: Colour
    shop: bool
    bay: bool

    @property
    def height(self) -> float:
        """The height of the eaves."""
        return self.storeys * self.storey + 0.5


def house(front: Facade, random: Random) -> Mesh:
    """Return a house whose front lies in the plane x = 0 and which reaches back to x = -9."""
    texture, tile = (BRICK, 2.0) if front.brick else (PLASTER, 5.0)
    body = boxes((-9, 0, 0), (0, front.height, front.width), texture, front.wall, tile_m=tile)
    parts = [body, _openings(front, random), _trim(front), _roof(front, random)]
    if front.bay:
        parts.append(_bay(front, random))
    return join(parts)


def _panes(origin: Array, width: float, height: float, random: Random) -> Mesh:
    """Return windows with sills and lintels; `origin` [N, 3] are their lower corners, facing +x."""
    pick = random.random(len(origin)) < 0.45
    right, up, out = np.array([0, 0, width]), np.array([0, height, 0]), np.array([0.02, 0, 0])
    parts = [
        quads(origin[mask] + out, right, up, texture, (1, 1, 1))
        for mask, texture in ((pick, CURTAIN), (~pick, WINDOW))
        if mask.any()
    ]
    sill = origin + vector(0, -0.10, -0.08)
    parts.append(boxes(sill, sill + vector(0.14, 0.10, width + 0.16), PLAIN, STONE))
    lintel = origin + vector(0, height, -0.10)
    parts.append(boxes(lintel, lintel + vector(0.06, 0.20, width + 0.2), PLAIN, STONE))
    return join(parts)


def _openings(front: Facade, random: Random) -> Mesh:
    count = max(2, round(front.width / 2.4))
    pitch = front.width / count
    columns = (np.arange(count) + 0.5) * pitch - 0.55
    parts = []
    ground = 1 if front.shop else 0
    for storey in range(ground, front.storeys):
        keep = columns[1:] if storey == 0 else columns  # the first place on the ground: the door
        base = storey * front.storey + 1.0
        origin = np.stack([0 * keep, 0 * keep + base, keep], axis=1)
        parts.append(_panes(origin, 1.1, 1.55 if storey else 1.7, random))
    if front.shop:
        parts.append(
            quads((0.03, 0.1, 1.4), (0, 0, front.width - 1.8), (0, 2.5, 0), SHOP, (1, 1, 1))
        )
        colour = one_of(random, ((0.05, 0.09, 0.07), (0.18, 0.03, 0.03), (0.04, 0.05, 0.12)))
        parts.append(boxes((0, 2.62, 0.3), (0.16, 3.15, front.width - 0.3), PLAIN, colour))
        parts.append(_awning(front, colour))
    door = one_of(random, ((0.20, 0.03, 0.03), (0.03, 0.09, 0.06), (0.04, 0.06, 0.16), (0.1,) * 3))
    place = 0.25 if front.shop else float(columns[0])
    parts.append(quads((0.03, 0.15, place), (0, 0, 1.0), (0, 2.3, 0), DOOR, door))
    parts.append(boxes((0, 0, place - 0.15), (0.5, 0.15, place + 1.15), PLAIN, STONE))
    return join(parts)


def _awning(front: Facade, colour: Colour) -> Mesh:
    low, far = 2.35, front.width - 0.5
    top = [[0.1, 2.95, 0.6], [0.1, 2.95, far], [1.3, low, far], [1.3, low, 0.6]]
    edge = [[1.3, low, 0.6], [1.3, low, far], [1.3, low - 0.25, far], [1.3, low - 0.25, 0.6]]
    tint = tuple(min(1.0, 2.2 * c + 0.05) for c in colour)
    return faces([top, edge], PLAIN, tint)


def _trim(front: Facade) -> Mesh:
    width, top = front.width, front.height
    bands = [boxes((0, top - 0.35, 0), (0.30, top, width), PLAIN, WHITE)]
    if not front.shop:
        bands.append(boxes((0, 0, 0), (0.06, 0.55, width), PLAIN, STONE))
    for storey in range(1, front.storeys):
        level = storey * front.storey + 0.15
        bands.append(boxes((0, level, 0), (0.05, level + 0.14, width), PLAIN, STONE))
    pipe = prism((0.1, 0, width - 0.12), (0.1, top - 0.3, width - 0.12), (0.05, 0.05), PLAIN, METAL)
    return join([*bands, pipe])


def _roof(front: Facade, random: Random) -> Mesh:
    width, top, ridge = front.width, front.height, front.height + between(random, 2.2, 3.4)
    slopes = [
        [[0.25, top, 0], [0.25, top, width], [-4.5, ridge, width], [-4.5, ridge, 0]],
        [[-9, top, 0], [-9, top, width], [-4.5, ridge, width], [-4.5, ridge, 0]],
    ]
    gables = [[[0, top, z], [-9, top, z], [-4.5, ridge, z], [-4.5, ridge, z]] for z in (0, width)]
    wall = BRICK if front.brick else PLASTER
    at = between(random, 0.6, width - 1.4)
    chimney = boxes((-4.9, ridge - 1, at), (-4.1, ridge + 1.3, at + 0.8), BRICK, TILES, tile_m=2.0)
    pots = [
        prism((-4.5, ridge + 1.3, at + dz), (-4.5, ridge + 1.7, at + dz), (0.13, 0.1), PLAIN, TILES)
        for dz in (0.2, 0.6)
    ]
    parts = [
        faces(slopes, ROOF, front.roof, tile_m=2.4),
        faces(gables, wall, front.wall, tile_m=2.0),
        chimney,
        *pots,
    ]
    if width > 5.5 and random.random() < 0.5:
        parts.append(_dormer(front, ridge))
    return join(parts)


def _dormer(front: Facade, ridge: float) -> Mesh:
    z0, z1 = front.width / 2 - 0.8, front.width / 2 + 0.8
    low = front.height + 0.25
    body = boxes((-3.4, low, z0), (-0.7, low + 1.5, z1), PLAIN, front.roof)
    pane = quads((-0.68, low + 0.2, z0 + 0.2), (0, 0, 1.2), (0, 1.15, 0), WINDOW, (1, 1, 1))
    lid = boxes((-3.4, low + 1.5, z0 - 0.12), (-0.5, low + 1.62, z1 + 0.12), PLAIN, WHITE)
    return join([body, pane, lid])


def _bay(front: Facade, random: Random) -> Mesh:
    """Return a bay window over the ground floor and perhaps the first."""
    z1, deep = front.width - 0.5, 0.8
    z0 = z1 - 2.3
    top = front.storey * (2 if front.storeys > 2 and random.random() < 0.5 else 1)
    texture, tile = (BRICK, 2.0) if front.brick else (PLASTER, 5.0)
    parts = [
        boxes((0, 0, z0), (deep, top, z1), texture, front.wall, tile_m=tile),
        boxes((0, top, z0 - 0.1), (deep + 0.12, top + 0.2, z1 + 0.1), PLAIN, WHITE),
    ]
    for level in np.arange(0, top - 0.1, front.storey):
        low, high = level + 0.9, vector(0, 1.75, 0)
        face = vector(deep + 0.02, low, z0 + 0.15)
        sides = [[0.1, low, z0 - 0.02], [0.1, low, z1 + 0.02]]
        parts.append(quads(face, (0, 0, 2.0), high, WINDOW, (1, 1, 1)))
        parts.append(quads(sides, (0.6, 0, 0), high, GLASS, (1, 1, 1)))
    return join(parts)
