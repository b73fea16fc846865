"""Plan our rendered streets: what differs between a quiet street and a wide avenue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rvsd_bench.generators.street.colours import Array, Colour
from rvsd_bench.generators.street.shading import Sky


@dataclass(frozen=True)
class Plan:
    """What differs between our streets; widths from the middle of the road, in metres."""

    lane: float
    """Where the camera drives."""
    kerb: float
    pavement: float
    front: float
    """Where the houses begin."""
    storeys: tuple[int, int]
    storey: float
    width: tuple[float, float]
    walls: tuple[Colour, ...]
    shops: float
    bays: float
    gardens: bool
    tree_every: float
    tree_height: tuple[float, float]
    leaves: tuple[Colour, ...]
    parked: float
    """The share of parking places that are taken."""
    lines: tuple[tuple[float, float, float, float], ...]
    sky: Sky


def _rgb(*values: float) -> Array:
    return np.array(values)


def _towards(x: float, y: float, z: float) -> Array:
    return _rgb(x, y, z) / np.linalg.norm([x, y, z])


PLANS = {
    "street": Plan(
        lane=1.45, kerb=4.9, pavement=7.3, front=9.3, storeys=(2, 3), storey=3.0, width=(5.2, 7.6),
        walls=((0.30, 0.12, 0.08), (0.24, 0.11, 0.08), (0.55, 0.48, 0.36), (0.62, 0.60, 0.55),
               (0.36, 0.22, 0.14), (0.40, 0.44, 0.46)),
        shops=0.0, bays=0.45, gardens=True, tree_every=17.0, tree_height=(6.0, 8.5),
        leaves=((0.12, 0.17, 0.045), (0.17, 0.17, 0.04), (0.10, 0.15, 0.05)),
        parked=0.62,
        lines=((-0.06, 0.06, 6.0, 2.5),),
        sky=Sky(_rgb(0.72, 0.745, 0.78), _rgb(0.38, 0.455, 0.56), _rgb(0.84, 0.88, 0.94),
                _rgb(0.30, 0.28, 0.26), _rgb(0.42, 0.37, 0.29), _towards(-0.55, 0.7, -0.45),
                0.0004),
    ),
    "avenue": Plan(
        lane=1.9, kerb=9.2, pavement=13.4, front=13.4, storeys=(4, 6), storey=3.3,
        width=(9.0, 14.0),
        walls=((0.60, 0.50, 0.36), (0.52, 0.38, 0.26), (0.64, 0.58, 0.48), (0.45, 0.24, 0.17),
               (0.56, 0.54, 0.52)),
        shops=0.75, bays=0.0, gardens=False, tree_every=11.0, tree_height=(7.5, 10.0),
        leaves=((0.24, 0.15, 0.03), (0.20, 0.17, 0.04), (0.28, 0.12, 0.025)),
        parked=0.5,
        lines=((-0.28, -0.14, 1.0, 1.0), (0.14, 0.28, 1.0, 1.0), (3.5, 3.64, 9.0, 3.0),
               (-3.64, -3.5, 9.0, 3.0), (6.95, 7.05, 1.0, 1.0), (-7.05, -6.95, 1.0, 1.0)),
        sky=Sky(_rgb(0.80, 0.66, 0.52), _rgb(0.34, 0.40, 0.52), _rgb(0.58, 0.62, 0.72),
                _rgb(0.28, 0.24, 0.20), _rgb(0.86, 0.58, 0.32), _towards(-0.6, 0.35, -0.7),
                0.0006),
    ),
}  # fmt: skip
