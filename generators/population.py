"""Fill the air with flakes: each has a place, a size, a fall speed and a brightness for ever.

Flakes of one size bin live in a box that repeats in all directions around the camera and is just
as deep as the largest of them can be told apart, so that snow never begins, ends or drifts away.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.generators.scene import Scene
from rvsd_bench.generators.size_law import (
    BINS,
    CLASSES_PER_BIN,
    SizeLaw,
    fall_speed,
    flake_diameter_mm,
)
from rvsd_bench.seeds import stream

LEAST_AREA_PX2, MOST_AREA_PX2 = 0.4, 4.0
"""At a width of 1280 pixels flakes are drawn singly from the first area on, in proportion at others
but never below a quarter of it; if they are too many, from up to the second area on, which grows
with the square of larger widths."""
SLOWEST_M_PER_S = 0.2
MARGIN = 1.1
"""A box is wider than the view at its far end by this factor: blurred flakes enter gradually."""


@dataclass(frozen=True)
class View:
    """The frustum that flakes are seen in: focal length, size (H, W), first and last depth."""

    focal_px: float
    size: tuple[int, int]
    near_m: float
    far_m: float

    def reach_m(
        self, diameter_m: NDArray[np.float64] | float, area_px2: float
    ) -> NDArray[np.float64]:
        """Return the depth, in the view, down to which a sharp disc covers an area or more."""
        reach = np.asarray(diameter_m) * self.focal_px * math.sqrt(math.pi / 4 / area_px2)
        return np.asarray(np.clip(reach, self.near_m, self.far_m))

    def boxes_m(self, depth_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the boxes [N, 3] in x, y, z that hold the view down to some depths."""
        height, width = self.size
        across = MARGIN * depth_m / self.focal_px
        return np.stack([across * width, across * height, depth_m], axis=-1)


DIAMETER, REACH, FALL, SWING, SWING_HZ, PHASE, GAIN = range(7)
"""Columns of a population's traits: diameter in m, depth in m down to which the flake is drawn
singly, fall speed in m/s, amplitude in m and frequency in Hz of its swing, phase in [0, 1), and its
radiance over that of the air, before haze."""


@dataclass(frozen=True, eq=False)
class Population:
    """Flakes, one row each."""

    origin_m: NDArray[np.float64]
    """[N, 3] place in its box when the clip begins."""
    box_m: NDArray[np.float64]
    """[N, 3] the box that repeats."""
    traits: NDArray[np.float64]
    """[N, 7] its columns are named above."""

    def __len__(self) -> int:
        return len(self.traits)

    def digest(self) -> str:
        """Return the SHA-256 of all numbers."""
        digest = hashlib.sha256()
        for table in (self.origin_m, self.box_m, self.traits):
            digest.update(np.ascontiguousarray(table, "<f8").tobytes())
        return digest.hexdigest()


def bin_reach_m(law: SizeLaw, scene: Scene, view: View, area_px2: float) -> NDArray[np.float64]:
    """Return for each bin the depth down to which its largest flake is drawn singly."""
    largest = flake_diameter_mm(law.bin_edges_mm()[1:], scene.snow) / 1000
    return view.reach_m(largest, area_px2)


def expected_count(law: SizeLaw, scene: Scene, view: View, area_px2: float) -> NDArray[np.float64]:
    """Return for each bin the number of flakes that its box holds on average.

    It is 0 for a bin of which none is drawn singly, not even at the nearest depth.
    """
    reach = bin_reach_m(law, scene, view, area_px2)
    volume = np.where(reach > view.near_m, np.prod(view.boxes_m(reach), axis=1), 0.0)
    number_per_m3 = law.number_per_m3.reshape(BINS, CLASSES_PER_BIN).sum(axis=1)
    return np.asarray(number_per_m3 * volume)


def smallest_area_px2(law: SizeLaw, scene: Scene, view: View) -> float:
    """Return the area above which flakes are drawn singly, as small as `tiers.max_sim` allows.

    The count falls with the area to the power -3/2. Raises InputError if they are too
    many even from the largest such area on.
    """
    wider = view.size[1] / 1280
    least = LEAST_AREA_PX2 * max(wider, 0.25)
    low, high = math.log(least), math.log(MOST_AREA_PX2 * max(wider, 1) ** 2)
    most = scene.tiers.max_sim
    if expected_count(law, scene, view, least).sum() <= most:
        return least
    needed = expected_count(law, scene, view, math.exp(high)).sum()
    if needed > most:
        raise InputError(
            f"tiers.max_sim is {most}, but this snowfall needs {math.ceil(needed)} flakes at least:"
            " raise it, or lower snow.rate_mm_per_h or camera.hfov_deg"
        )
    for _ in range(40):
        middle = (low + high) / 2
        if expected_count(law, scene, view, math.exp(middle)).sum() > most:
            low = middle
        else:
            high = middle
    return math.exp(high)


def gains(scene: Scene, brightest: float) -> tuple[float, float]:
    """Return between which radiances over the air's the flakes lie, none above `brightest`."""
    gain, spread = scene.light.flake_gain, scene.light.flake_gain_spread
    return (1 - spread) * min(gain, brightest), min((1 + spread) * gain, brightest)


def populate(
    law: SizeLaw,
    scene: Scene,
    view: View,
    area_px2: float,
    brightest: float,
    key: tuple[int | str, ...],
) -> Population:
    """Draw all flakes above an area, each bin from its own stream `(*key, "flakes", bin)`.

    No flake shines more than `brightest` times the air. Draws invert distribution functions, since
    NumPy keeps only `random` across its releases.
    """
    from scipy.special import pdtrik

    reach = bin_reach_m(law, scene, view, area_px2)
    means = expected_count(law, scene, view, area_px2)
    boxes = view.boxes_m(reach)
    parts = [(0, np.empty((0, 9)))]  # for a view in which no flake can be drawn singly
    for index in np.flatnonzero(means):
        draw = stream(*key, "flakes", int(index))
        count = max(0, math.ceil(pdtrik(draw.random(), means[index])))
        parts.append((int(index), draw.random((count, 9))))
    numbers = np.concatenate([part for _, part in parts])
    bins = np.repeat([index for index, _ in parts], [len(part) for _, part in parts])
    melted = np.concatenate([law.melted_at(part[:, 3], index) for index, part in parts])
    return _flakes(numbers, melted, boxes[bins], scene, view, area_px2, brightest)


def _flakes(
    numbers: NDArray[np.float64],
    melted_mm: NDArray[np.float64],
    box_m: NDArray[np.float64],
    scene: Scene,
    view: View,
    area_px2: float,
    brightest: float,
) -> Population:
    from scipy.special import ndtri

    snow = scene.snow
    diameter_mm = flake_diameter_mm(melted_mm, snow)
    speed = fall_speed(diameter_mm, snow)
    spread = snow.fall_speed_spread_m_per_s * ndtri(np.clip(numbers[:, 4], 1e-4, 1 - 1e-4))
    darkest, brightest = gains(scene, brightest)
    columns: dict[int, NDArray[np.float64]] = {
        DIAMETER: diameter_mm / 1000,
        REACH: view.reach_m(diameter_mm / 1000, area_px2),
        FALL: np.maximum(speed + spread, SLOWEST_M_PER_S),
        SWING: snow.flutter_m * (0.5 + numbers[:, 5]),
        SWING_HZ: snow.flutter_hz * (0.5 + numbers[:, 6]),
        PHASE: numbers[:, 7],
        GAIN: darkest + (brightest - darkest) * numbers[:, 8],
    }
    traits = np.stack([columns[i] for i in range(len(columns))], axis=1)
    return Population(numbers[:, :3] * box_m, box_m, traits)
