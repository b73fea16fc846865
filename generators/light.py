"""Find the light of the air in a clean clip: the colour that distance fades to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.colour import lin16
from rvsd_bench.generators.depth import DepthSource

DARKEST, BRIGHTEST = 0.35, 0.85
MOST_FRAMES = 32


def estimate_light(
    clip: Clip, depth_source: DepthSource
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return the atmospheric light of a daylight clip, linear RGB float64 [3], and how it was found.

    facts: `rule` (`far` or `top`), `pixels`, `frames`, and `bright_sky`, the linear radiance of the
    brightest visible sky (None without sky): flakes before it must stay below 0.9 of it.
    """
    linear = lin16().astype(np.float64) / 65535
    indices = np.unique(np.linspace(0, len(clip) - 1, min(MOST_FRAMES, len(clip))).astype(int))
    frames = [linear[clip[int(i)]] for i in indices]
    rows = max(1, clip.size[0] // 10)
    colour = np.median([frame[:rows].reshape(-1, 3).mean(axis=0) for frame in frames], axis=0)
    grey = colour.mean()
    light = np.clip(0.5 * (colour + grey), DARKEST, BRIGHTEST)
    return light, {"rule": "top", "frames": len(indices), "bright_sky": float(grey)}
