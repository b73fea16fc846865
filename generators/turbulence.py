"""Stir the air with random Fourier modes: divergence-free eddies in closed form.

Kraichnan (Phys. Fluids 13, 1970) and Fung et al. (J. Fluid Mech. 236, 1992): a sum of plane waves,
each with its amplitude at right angles to its wave vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.scene import Wind
from rvsd_bench.seeds import stream

MODES = 8
DRIFT_RAD_PER_S = 1.0
"""Slower changes than this are damped, so that no flake is carried away for ever."""


def modes(wind: Wind, key: tuple[int | str, ...]) -> NDArray[np.float64]:
    """Return the waves, float64 [8, 8]; no wave moves if the turbulence is 0.

    Columns: wave vector in cycles per metre (3), velocity amplitude in m/s (3), frequency in
    cycles per second, phase in turns. Wave numbers are evenly spaced in logarithm between the
    eddies; energy falls as the power -5/3 of the wave number (Kolmogorov).
    """
    numbers = stream(*key, "turbulence").random((MODES, 5))
    wave = np.geomspace(1 / wind.largest_eddy_m, 1 / wind.smallest_eddy_m, MODES)
    direction = _on_sphere(numbers[:, 0], numbers[:, 1])
    across = np.cross(direction, _on_sphere(numbers[:, 2], numbers[:, 3]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    # Geometric spacing: a mode's share of the energy is k^-5/3 times its width, which grows as k.
    share = wave ** (-2 / 3)
    strength = wind.turbulence_m_per_s * np.sqrt(6 * share / share.sum())
    frequency = 0.5 * wave * strength
    return np.column_stack(
        [direction * wave[:, None], across * strength[:, None], frequency, numbers[:, 4]]
    )


def _on_sphere(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    height = 2 * u - 1
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(2 * np.pi * v), ring * np.sin(2 * np.pi * v), height], axis=-1)
