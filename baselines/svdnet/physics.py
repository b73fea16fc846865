"""The model of a snowy, hazy frame, and its inversion.

I = J·T + A·(1 − T) + S: eq. 1 of the SemiVDN paper (ECCV 2024), which takes it from SVDNet's
benchmark. J is the clear scene, T the transmission, A the atmospheric light and S the snow.
"""

from __future__ import annotations

from torch import Tensor

from rvsd_bench.baselines.precision import at_least_float32, full_precision


def scatter(clean: Tensor, snow: Tensor, transmission: Tensor, light: Tensor) -> Tensor:
    """Return the frame I that a scene J gives behind haze and snow (eq. 1).

    J and S are [..., 3, H, W], T is [..., 1, H, W] and A anything that fits them.
    """
    return clean * transmission + light * (1 - transmission) + snow


def invert(frame: Tensor, snow: Tensor, transmission: Tensor, light: Tensor) -> Tensor:
    """Return the scene J of a frame whose snow, transmission and light are known (eq. 1 for J).

    Computed in float32 at least, under autocast too: a small T magnifies every rounding.
    """
    with full_precision(frame):
        layers = map(at_least_float32, (frame, snow, transmission, light))
        frame, snow, transmission, light = layers
        return (frame - snow - light * (1 - transmission)) / transmission
