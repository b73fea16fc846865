"""Drive uneven fog through the picture: gradient noise that the wind carries past the camera.

One sample of the noise, half way to what a pixel shows and as faint as the mean over the path is,
stands for all of it (Perlin, ACM Computer Graphics 19(3), 1985). It is taken at every eighth pixel
and spread bilinearly between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.path import CameraPath
from rvsd_bench.generators.scene import Fog
from rvsd_bench.seeds import stream

STEP_PX = 8
"""Pixels from one sample of the noise to the next."""
PERIOD = 256
"""Cells after which the noise repeats: 3 km of the largest clouds if these are 12 m wide."""
USUAL, MOST = 0.19, 2.5
"""Standard deviation of one octave, and after how many of them the sum is cut."""
TAU_STEP = 1 / 256
"""Between the entries of the table of exp(-tau), which is read by straight lines: to 2e-6."""


@dataclass(frozen=True, eq=False)
class DriftingFog:
    """Fog of uneven density before one camera, at every moment."""

    fog: Fog
    drift_m_per_s: tuple[float, float, float]
    """Velocity of the air relative to the camera."""
    focal_px: float
    far_m: float
    gradients: NDArray[np.float64]
    """[256, 3] unit vectors."""
    order: NDArray[np.int64]
    """[512] a permutation of 0..255, twice: it says which corner has which gradient."""
    offsets: NDArray[np.float64]
    """[octaves, 3] where in its period each octave begins, in cells."""
    veil_tau: NDArray[np.float32]
    """[65536] optical depth of merged flakes down to the depth i·far/65535."""
    decay: NDArray[np.float32]
    """exp(-tau) in steps of `TAU_STEP`."""
    path: CameraPath | None = None
    """Of a camera that follows one; then the drift is that of the wind."""

    def density(
        self,
        time_s: float,
        depth: NDArray[np.uint16],
        middle: tuple[float, float] | None = None,
    ) -> NDArray[np.float64]:
        """Return 1 + noise at the samples, float64 [H/8 + 2, W/8 + 2], of mean 1 over all times.

        `depth` is in steps of far/65535. Samples lie at every eighth pixel from the first on.
        Of a part of a picture, `middle` says where the whole has its middle: row and column. The
        farther a path goes, the more clouds it crosses, and the less their mean differs.
        """
        rows, columns = (np.arange(0, length + 2 * STEP_PX, STEP_PX) for length in depth.shape)
        height, width = depth.shape
        inside = np.ix_(np.minimum(rows, height - 1), np.minimum(columns, width - 1))
        z = depth[inside] * (0.5 * self.far_m / 65535)
        down, across = (height / 2, width / 2) if middle is None else middle
        x = (columns + 0.5 - across) / self.focal_px
        y = (rows + 0.5 - down) / self.focal_px
        sums = np.zeros(z.shape)
        blown, turn = np.asarray(self.drift_m_per_s) * time_s, np.eye(3)
        if self.path is not None:
            place, turn = self.path.at(time_s)
            blown = blown - place
        power = 0.0
        for octave, offset in enumerate(self.offsets):
            strength, per_m = 0.5**octave, 2.0**octave / self.fog.noise_scale_m
            start = offset - blown * per_m
            _add_noise(x, y, z, turn, per_m, start, strength, self.gradients, self.order, sums)
            power += strength**2
        cut = MOST * USUAL * math.sqrt(power)
        spread = self.fog.noise_amplitude / np.sqrt(1 + 2 * z / self.fog.noise_scale_m)
        return np.asarray(1 + spread * np.clip(sums / cut, -1, 1))

    def transmission(
        self,
        time_s: float,
        depth: NDArray[np.uint16],
        middle: tuple[float, float] | None = None,
    ) -> NDArray[np.uint16]:
        """Return what fog and veil let through at a time, uint16 [H, W], 65535 for all."""
        through = np.empty(depth.shape, np.uint16)
        density = self.density(time_s, depth, middle).astype(np.float32)
        per_step = np.float32(self.fog.extinction_per_m * self.far_m / 65535)
        _transmit(depth, density, per_step, self.veil_tau, self.decay, through)
        return through


def drifting_fog(
    fog: Fog,
    drift_m_per_s: tuple[float, float, float],
    focal_px: float,
    far_m: float,
    veil_tau: NDArray[np.float64],
    key: tuple[int | str, ...],
    path: CameraPath | None = None,
) -> DriftingFog | None:
    """Return the fog of a clip, from its own stream `(*key, "fog")`; None if the fog is even.

    The drift is that of the air past the camera, or the wind if the camera follows a `path`.
    `veil_tau` is the optical depth of merged flakes in 65536 even steps of depth up to `far_m`.
    """
    if fog.noise_amplitude == 0 or fog.extinction_per_m == 0:
        return None
    numbers = stream(*key, "fog").random((2 * PERIOD + fog.noise_octaves, 3))
    tilt, turn = 2 * numbers[:PERIOD, 0] - 1, 2 * np.pi * numbers[:PERIOD, 1]
    ring = np.sqrt(1 - tilt**2)
    gradients = np.stack([ring * np.cos(turn), ring * np.sin(turn), tilt], axis=1)
    order = np.argsort(numbers[PERIOD : 2 * PERIOD, 0], kind="stable").astype(np.int64)
    # Beyond exp(-12) nothing is left of 65535.
    decay = np.exp(-TAU_STEP * np.arange(round(12 / TAU_STEP) + 2))
    return DriftingFog(
        fog,
        drift_m_per_s,
        focal_px,
        far_m,
        gradients,
        np.tile(order, 2),
        PERIOD * numbers[2 * PERIOD :],
        veil_tau.astype(np.float32),
        decay.astype(np.float32),
        path,
    )


@numba.njit(cache=True, error_model="numpy")
def _slope(gradients: Any, order: Any, i: int, j: int, k: int, x: Any, y: Any, z: Any) -> float:
    n = order[order[order[i] + j] + k]
    slope: float = gradients[n, 0] * x + gradients[n, 1] * y + gradients[n, 2] * z
    return slope


@numba.njit(cache=True, error_model="numpy")
def _fade(t: float) -> float:
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@numba.njit(cache=True, error_model="numpy")
def _noise(x: float, y: float, z: float, gradients: Any, order: Any) -> float:
    """Return gradient noise at a point in cells: 0 at every corner of a cell, smooth between."""
    cx, cy, cz = math.floor(x), math.floor(y), math.floor(z)
    x, y, z = x - cx, y - cy, z - cz
    u, v, w = _fade(x), _fade(y), _fade(z)
    total = 0.0
    for corner in range(8):
        a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
        share = (u if a else 1.0 - u) * (v if b else 1.0 - v) * (w if c else 1.0 - w)
        i, j, k = (cx + a) & 255, (cy + b) & 255, (cz + c) & 255
        total += share * _slope(gradients, order, i, j, k, x - a, y - b, z - c)
    return total


@numba.njit(
    "void(f8[::1], f8[::1], f8[:,::1], f8[:,:], f8, f8[::1], f8, f8[:,::1], i8[::1], f8[:,::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _add_noise(
    x: Any, y: Any, z: Any, turn: Any, per_m: float, start: Any, strength: float, gradients: Any,
    order: Any, sums: Any,
) -> None:  # fmt: skip
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            cells = z[i, j] * per_m
            across = (turn[0, 0] * x[j] + turn[0, 1] * y[i] + turn[0, 2]) * cells + start[0]
            down = (turn[1, 0] * x[j] + turn[1, 1] * y[i] + turn[1, 2]) * cells + start[1]
            ahead = (turn[2, 0] * x[j] + turn[2, 1] * y[i] + turn[2, 2]) * cells + start[2]
            sums[i, j] += strength * _noise(across, down, ahead, gradients, order)


@numba.njit(
    "void(u2[:,::1], f4[:,::1], f4, f4[::1], f4[::1], u2[:,::1])",
    cache=True, error_model="numpy",
)  # fmt: skip
def _transmit(
    depth: Any, density: Any, fog_tau: float, veil_tau: Any, decay: Any, through: Any
) -> None:
    """Write the transmission; `fog_tau` is the optical depth of even fog per step of depth."""
    last = np.float32(len(decay) - 1.001)
    line = np.empty(density.shape[1], np.float32)
    for y in range(depth.shape[0]):
        i, down = y // STEP_PX, np.float32((y % STEP_PX) / STEP_PX)
        for j in range(line.shape[0]):
            line[j] = fog_tau * (density[i, j] + down * (density[i + 1, j] - density[i, j]))
        for x in range(depth.shape[1]):
            j, right = x // STEP_PX, np.float32((x % STEP_PX) / STEP_PX)
            d = depth[y, x]
            tau = np.float32(d) * (line[j] + right * (line[j + 1] - line[j])) + veil_tau[d]
            step = min(tau * np.float32(1 / TAU_STEP), last)
            n = int(step)
            kept = decay[n] + (step - np.float32(n)) * (decay[n + 1] - decay[n])
            through[y, x] = np.uint16(np.float32(65535.0) * kept + np.float32(0.5))
