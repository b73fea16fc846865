"""Take a snowy frame apart into weathers: the haze alone, the flakes alone, or both.

They come from one set of layers, so that a network for one of them can be trained, or an error
traced to one of them, on the very same frames.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import unknown
from rvsd_bench.generators.compose import compose

if TYPE_CHECKING:
    from rvsd_bench.generators.rendering import RenderedFrame

Weather = Literal["both", "haze", "snow"]
Planes = tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]]


def planes_in(
    weather: Weather, T: NDArray[np.uint16], z: NDArray[np.uint16], p: NDArray[np.uint16]
) -> Planes:
    """Return transmission, coverage and radiance of one weather, uint16 [H, W] each.

    In `haze` no flake is drawn, singly or as grain; flakes that are merged into the veil are haze.
    In `snow` the air is clear: T is 65535. Raises InputError for any other weather but `both`.
    """
    if weather == "both":
        return T, z, p
    if weather == "haze":
        return T, np.zeros_like(z), np.zeros_like(p)
    if weather == "snow":
        return np.full_like(T, 65535), z, p
    raise unknown("weather", weather, ["both", "haze", "snow"])


def in_weather(frame: RenderedFrame, weather: Weather) -> RenderedFrame:
    """Return a rendered frame as it looks with the haze alone or the snow alone.

    Flakes keep the radiance that they have in the haze, so that `snow` and `both` share one
    coverage and one radiance.
    """
    t16, z16, p16 = planes_in(weather, frame.t16, frame.z16, frame.p16)
    snowy = compose(frame.clean, t16, z16, p16, frame.a16, frame.gain, frame.domain)
    return replace(frame, snowy=snowy, t16=t16, z16=z16, p16=p16)
