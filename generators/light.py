"""Find the light of the air in a clean clip: the colour that distance fades to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.colour import lin16
from rvsd_bench.generators.depth import DepthSource
from rvsd_bench.generators.glimpses import evenly
from rvsd_bench.generators.sky import LUMA, sky_likeness

DAY, NIGHT = (0.35, 0.85), (0.03, 0.06)
"""Between which limits the light of the air lies, linear; at night that away from lamps."""
BRIGHT = 0.1
"""Mean luminance, linear, from which on a clip is none of a night: streets at night have 0.01 to
0.06, a dull day has 0.15."""
LEAST_WIDTH_PX = 480
"""The light is looked for in frames made smaller by a whole number, down to this width."""


def estimate_light(
    clip: Clip, depth_source: DepthSource, limits: tuple[float, float] = DAY
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return the atmospheric light of a clip, linear RGB float64 [3], and its story.

    It is the sky just above the horizon: among far pixels (at least 0.8 of the largest depth) that
    are smooth and as bright as sky, the lowest of each column. Where no sky is visible it is the
    top rows. The median over at most 12 evenly spaced frames is drawn half way to grey and clamped
    to the limits, per channel. The dark-channel rule (He et al. 2009) is not used: on clean driving
    footage it picks the road and white cars.

    The story: `rule` (`sky` or `top`), `frames` that the rule was met in, `sky_fraction`, `seen`
    (the colour before toning), `brightness` (the mean luminance of a frame) and `bright_sky`, the
    luminance of bright sky in linear light (None without sky): flakes before it must stay below 0.9
    of it.
    """
    indices = evenly(len(clip))
    skies, tops, means = [], [], []
    overhead = depth_source.facts.get("view") == "overhead"  # asphalt can be as even as sky
    for index in indices:
        small = _shrunk(clip[index])
        colour = _linear(small)
        depth = _at_places(depth_source.at(index, small), small.shape[:2])
        like = sky_likeness(small, scale=len(small) / clip.size[0])
        sky = (depth >= 0.8 * depth.max()) & (like > 0.5)
        if sky.mean() >= 0.005 and not overhead:
            skies.append((_above_horizon(colour, sky), _bright(colour, sky), sky.mean()))
        means.append(float((colour @ LUMA).mean()))
        tops.append(np.median(colour[: max(1, len(colour) // 10)].reshape(-1, 3), axis=0))
    found = 2 * len(skies) >= len(indices)
    seen = np.median([colour for colour, _, _ in skies] if found else tops, axis=0)
    light = np.clip(0.5 * (seen + seen.mean()), *limits)
    return light, {
        "rule": "sky" if found else "top",
        "frames": len(skies) if found else len(tops),
        "sky_fraction": float(np.median([part for _, _, part in skies])) if found else 0.0,
        "seen": [float(value) for value in seen],
        "brightness": float(np.median(means)),
        "bright_sky": float(np.median([bright for _, bright, _ in skies])) if found else None,
    }


def _shrunk(frame: Frame) -> Frame:
    """Return a frame as the means over blocks of whole pixels, at least `LEAST_WIDTH_PX` wide."""
    import cv2

    height, width = frame.shape[:2]
    factor = max(1, width // LEAST_WIDTH_PX)
    if factor == 1:
        return frame
    size = width // factor, max(1, height // factor)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _at_places(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a depth map at the places of the pixels of a smaller picture."""
    rows, columns = (
        ((np.arange(few) + 0.5) * many / few).astype(int)
        for few, many in zip(size, depth.shape, strict=True)
    )
    return depth[np.ix_(rows, columns)]


def _linear(frame: Frame) -> NDArray[np.float64]:
    return lin16()[frame] / 65535.0


def _above_horizon(colour: NDArray[np.float64], sky: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median colour of the lowest sky pixels of the columns that reach furthest down.

    A quarter of the columns, those whose sky ends lowest, see it nearest the horizon; the others
    end at a roof, a tree or a car.
    """
    height = len(sky)
    lowest = np.where(sky.any(axis=0), height - 1 - np.argmax(sky[::-1], axis=0), -1)
    deep = lowest >= np.percentile(lowest[lowest >= 0], 75)
    rows = np.arange(height)[:, None]
    band = sky & (rows > lowest - max(2, height // 40)) & deep
    return np.asarray(np.median(colour[band], axis=0))


def _bright(colour: NDArray[np.float64], sky: NDArray[np.bool_]) -> float:
    return float(np.percentile(colour[sky] @ LUMA, 95))
