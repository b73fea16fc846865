"""Fill the tiles that grain is looked up in: scatter flakes over them, and blur them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators.splat import PIXEL_VARIANCE


@numba.njit("void(f8[:,::1], f8[::1], f8[::1], f8[::1], f8[::1], f8[:,::1])", cache=True)
def scatter(numbers: Any, upto: Any, low: Any, high: Any, hides: Any, grid: Any) -> None:
    """Add what each flake hides to the cell of a tile that it lies in.

    `numbers` [N, 4] in [0, 1) say of a flake its class, whose cumulative shares are `upto`, its
    depth, whose cube lies evenly between the bounds, and its place. `hides` is for a depth of 1.
    """
    steps, side, last = 8192, len(grid), len(upto) - 1
    first = np.empty(steps, np.int16)  # the search for a class begins near it
    k = 0
    for step in range(steps):
        while k < last and upto[k] <= step / steps:
            k += 1
        first[step] = k
    for i in range(len(numbers)):
        k = first[int(numbers[i, 0] * steps)]
        while k < last and upto[k] <= numbers[i, 0]:
            k += 1
        depth = np.cbrt(low[k] + numbers[i, 1] * (high[k] - low[k]))
        grid[int(numbers[i, 2] * side), int(numbers[i, 3] * side)] += hides[k] / (depth * depth)


def blur(
    grid: NDArray[np.float64],
    pitch_px: float,
    psf_sigma_px: float,
    streak_px: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Blur a tile, which repeats, by the lens, the pixel and an even streak.

    Its cells are `pitch_px` wide.
    """
    from scipy.fft import irfft2, rfft2

    across = np.fft.rfftfreq(grid.shape[1], pitch_px)
    down = np.fft.fftfreq(grid.shape[0], pitch_px)
    variance = psf_sigma_px**2 + PIXEL_VARIANCE
    lens = [np.exp(-2 * np.pi**2 * variance * axis**2) for axis in (down, across)]
    waves = rfft2(grid)
    waves *= lens[0][:, None]
    waves *= lens[1]
    if streak_px.any():
        waves *= _sinc(down * streak_px[1], across * streak_px[0])
    return np.asarray(irfft2(waves, grid.shape, overwrite_x=True))


def _sinc(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sinc(rows + columns), float64 [R, C], from the sines of each alone."""
    sums = rows[:, None] + columns
    sines = np.outer(np.sin(np.pi * rows), np.cos(np.pi * columns))
    sines += np.outer(np.cos(np.pi * rows), np.sin(np.pi * columns))
    small = np.abs(sums) < 1e-6
    sums[small] = 1.0
    sines /= np.pi * sums
    sines[small] = 1.0
    return sines
