"""Light the air of a night by what is in it: snow too far to be told apart, and headlights.

Far flakes merge into the veil, but stay as bright as near ones; and the headlights of one's own car
light the air before it, most of all that near by: single scattering, straight back, along the way
there and back through the same air (the equation of a lidar).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.haze import LEVELS, depth_levels
from rvsd_bench.generators.headlights import strength
from rvsd_bench.generators.lightmap import CELL
from rvsd_bench.generators.scene import Scene
from rvsd_bench.generators.sky import LUMA

FOG_SHARE = 0.25
"""What fog throws straight back over what flakes do, at equal extinction: clouds of droplets have a
lidar ratio of about 18 sr, hence 4 pi / 18 = 0.7 of the light of even scattering, a white rough
sphere has 8/3 of it."""


@dataclass(frozen=True, eq=False)
class NightAir:
    """What the air before the scene at each of 65536 depths is worth; see `haze.depth_levels`."""

    opaque: NDArray[np.float32]
    """1 - T: the share of the light behind that is lost."""
    snow: NDArray[np.float32]
    """Its own light over that of fog alone."""
    thrown_back: NDArray[np.float32]
    """What headlights add to it on their axis, over the ambient light."""

    def lit(
        self,
        air: NDArray[np.uint16],
        depth: NDArray[np.uint16],
        ambient: NDArray[np.uint16],
        cone: NDArray[np.float32] | None,
    ) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Return the light of the air in each cell with snow and headlights, and what it was.

        `air` [h, w, 3] is that of the glow, `depth` [h, w] that of the cells. The second is a share
        of the first, float32 [h, w].
        """
        total = air * self.snow[depth][..., None]
        if cone is not None:
            total += ambient * (self.thrown_back[depth] * cone)[..., None]
        lit = np.rint(np.minimum(total, 65535)).astype(np.uint16)
        return lit, np.asarray((air @ LUMA) / np.maximum(lit @ LUMA, 1), np.float32)


def night_air(
    scene: Scene, transmission: NDArray[np.uint16], far_m: float, gain: float
) -> NightAir:
    """Return the air of a scene in which light falls with `transmission`, uint16 [65536].

    `gain` is the mean radiance of flakes over that of the air.
    """
    z = depth_levels(far_m)
    through = np.maximum(transmission, 0.5) / 65535
    fog_tau = scene.fog.extinction_per_m * z
    snow_tau = np.maximum(-np.log(through) - fog_tau, 0)
    opaque = np.maximum(1 - through, 1 / 65535)
    near = int(np.searchsorted(-through, -0.999))  # nearer, 16 bits of T are too coarse for a ratio
    own = 1 + (gain - 1) * _along(through, snow_tau) / opaque
    falls = through**2 * strength(scene.light, z)
    back = _along(falls, snow_tau + FOG_SHARE * fog_tau) / opaque
    for table in (own, back):
        table[:near] = table[min(near, LEVELS - 1)]
    return NightAir(*(np.asarray(table, np.float32) for table in (1 - through, own, back)))


def _along(weight: NDArray[np.float64], tau: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrate a weight over optical depth, from the camera to each depth (trapezoids)."""
    steps = np.diff(tau) * (weight[1:] + weight[:-1]) / 2
    return np.concatenate([[0.0], np.cumsum(steps)])


def depth_of_cells(depth: NDArray[np.uint16]) -> Any:
    """Return the depth in the middle of each cell of 8 x 8 pixels of a picture."""
    rows, columns = (
        np.minimum(np.arange(CELL // 2, side + CELL // 2, CELL), side - 1) for side in depth.shape
    )
    return depth[np.ix_(rows, columns)]
