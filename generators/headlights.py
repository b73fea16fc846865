"""Light flakes by the headlights of the car that the camera rides in.

What a flake at a depth z gets from lamps beside the camera falls as 1/(z² + offset²), for the lamps
stand a little apart from the lens, and away from the axis of the beam like a Gaussian.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.flight import DEPTH, DU, DV, GAIN, U, V
from rvsd_bench.generators.lightmap import CELL, cells
from rvsd_bench.generators.scene import Light
from rvsd_bench.generators.sky import LUMA


def strength(light: Light, depth_m: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return what headlights add, on their axis, to a flake's radiance over the ambient air's."""
    return np.asarray(light.headlight_m2 / (np.square(depth_m) + light.headlight_offset_m**2))


def cone(light: Light, size: tuple[int, int], focal_px: float) -> NDArray[np.float32]:
    """Return the beam over its axis for each cell of a picture, float32 [ceil(H/8), ceil(W/8)].

    The axis is that of the camera; the beam's width and height are those of half its strength.
    """
    falls = [
        _fall(number, side, focal_px, angle)
        for number, side, angle in zip(
            cells(size), size, (light.beam_height_deg, light.beam_width_deg), strict=True
        )
    ]
    return np.outer(*falls).astype(np.float32)


def _fall(number: int, side: int, focal_px: float, full_deg: float) -> NDArray[np.float64]:
    middles = CELL * (np.arange(number) + 0.5) - side / 2
    return np.asarray(0.5 ** (middles / (focal_px * math.tan(math.radians(full_deg / 2)))) ** 2)


def over_air(
    beam: NDArray[np.float32], ambient: NDArray[np.uint16], air: NDArray[np.uint16]
) -> NDArray[np.float32]:
    """Return a beam over the air's light of each cell instead of the ambient light.

    Flakes are stored relative to the air: next to lamps, where it is bright, headlights add less.
    """
    local = np.maximum(air @ LUMA, 1.0)
    return np.asarray(beam * (ambient @ LUMA / local), np.float32)


def light_flakes(
    rows: NDArray[np.float64],
    beam: NDArray[np.float32],
    light: Light,
    through: NDArray[np.float64] | float = 1.0,
) -> None:
    """Raise the radiance of flakes of a drawing list, in place, by the beam that they fly in.

    `through` is what the air lets through on the way to each; the way back is not counted here.
    """
    middle_u, middle_v = rows[:, U] + rows[:, DU] / 2, rows[:, V] + rows[:, DV] / 2
    i, j = _cell(middle_v, beam.shape[0]), _cell(middle_u, beam.shape[1])
    rows[:, GAIN] += strength(light, rows[:, DEPTH]) * through * beam[i, j]


def _cell(place_px: NDArray[np.float64], number: int) -> Any:
    return np.clip(place_px // CELL, 0, number - 1).astype(np.int64)


def at_pixels(beam: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a beam for each pixel, float32 [H, W], bilinear between the middles of cells."""
    import cv2

    rows, columns = beam.shape
    wide = cv2.resize(beam, (CELL * columns, CELL * rows), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(wide[: size[0], : size[1]], np.float32)
