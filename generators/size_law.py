"""Say how many flakes of which size a snowfall has, how large they look and how fast they fall.

`melted` is the diameter of the drop that a flake melts to, in mm: the size laws are in melted
diameters, and from a millimetre of water on a flake is two to five times as large as its drop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rvsd_bench.generators.scene import Snow

BINS = 24
"""Simulated in as many boxes, each as deep as flakes of its sizes are visible."""
CLASSES_PER_BIN = 16

# Number law N0 = a R^b per m3 and mm, slope = c R^d per mm; R in mm/h of water.
_LAWS = {
    "sekhon": (2.50e3, -0.94, 2.29, -0.45),  # Sekhon and Srivastava, J. Atmos. Sci. 27 (1970)
    "gunn_marshall": (3.8e3, -0.87, 2.55, -0.48),  # Gunn and Marshall, J. Meteor. 15 (1958)
}
_ICE_G_PER_CM3 = 0.917


@dataclass(frozen=True, eq=False)
class SizeLaw:
    """An exponential law N(D) = N0 exp(-slope D) between two melted diameters, cut into classes.

    Arrays have one entry per class, from small to large; `CLASSES_PER_BIN` classes make a bin.
    """

    slope_per_mm: float
    edges_mm: NDArray[np.float64]
    """Melted diameters between the classes, one more than there are classes."""
    number_per_m3: NDArray[np.float64]
    diameter_m: NDArray[np.float64]
    """Diameter of the flake, not of its drop."""
    speed_m_per_s: NDArray[np.float64]
    opacity: float

    @property
    def cross_section_per_m(self) -> NDArray[np.float64]:
        """What each class takes from light, per metre: number times area times opacity.

        Extinction efficiency 1: what flakes diffract stays within half a pixel.
        """
        return self.opacity * np.pi / 4 * self.diameter_m**2 * self.number_per_m3

    @property
    def extinction_per_m(self) -> float:
        """What all flakes take from light, per metre."""
        return float(self.cross_section_per_m.sum())

    def bin_edges_mm(self) -> NDArray[np.float64]:
        """Return the melted diameters between the bins."""
        return self.edges_mm[::CLASSES_PER_BIN]

    def melted_at(self, quantile: NDArray[np.float64], bin_index: int) -> NDArray[np.float64]:
        """Return melted diameters drawn within a bin from numbers even in [0, 1)."""
        low, high = self.bin_edges_mm()[bin_index : bin_index + 2]
        share = -math.expm1(-self.slope_per_mm * (high - low))
        return np.asarray(low - np.log1p(-quantile * share) / self.slope_per_mm)


def size_law(snow: Snow) -> SizeLaw:
    """Return the law of a snowfall; if `normalise_flux`, its flakes carry exactly the rate."""
    a, b, c, d = _LAWS[snow.size_law]
    slope = c * snow.rate_mm_per_h**d
    edges = np.geomspace(snow.melted_min_mm, snow.melted_max_mm, BINS * CLASSES_PER_BIN + 1)
    number = a * snow.rate_mm_per_h**b / slope * -np.diff(np.exp(-slope * edges))
    middle = (edges[1:] + edges[:-1]) / 2
    speed = fall_speed(flake_diameter_mm(middle, snow), snow)
    if snow.normalise_flux:
        number *= snow.rate_mm_per_h / flux_mm_per_h(number, middle, speed)
    diameter_m = flake_diameter_mm(middle, snow) / 1000
    return SizeLaw(slope, edges, number, diameter_m, speed, snow.opacity)


def flux_mm_per_h(
    number_per_m3: NDArray[np.float64], melted_mm: ArrayLike, speed_m_per_s: ArrayLike
) -> float:
    """Return the water that falls: number times drop volume times speed."""
    litre_per_m3 = number_per_m3 * np.pi / 6 * np.asarray(melted_mm) ** 3 * 1e-6
    return float(3600 * np.sum(litre_per_m3 * np.asarray(speed_m_per_s)))


def flake_diameter_mm(melted_mm: ArrayLike, snow: Snow) -> NDArray[np.float64]:
    """Return the diameter of flakes from their mass.

    Density falls with size as 0.178 D^-0.922 g/cm3 (Brandes et al., J. Appl. Meteor. Climatol. 46,
    2007) and is at most that of ice. Wet flakes are taken as twice as dense, cold ones as 0.7.
    """
    mass = np.asarray(melted_mm, np.float64) ** 3
    denser = 2.0 if snow.temperature_c > -1 else 0.7 if snow.temperature_c < -10 else 1.0
    loose = (mass / (0.178 * denser)) ** (1 / (3 - 0.922))
    solid = np.cbrt(mass / _ICE_G_PER_CM3)
    return np.asarray(np.maximum(loose, solid) * math.sqrt(snow.extinction_scale))


def fall_speed(diameter_mm: ArrayLike, snow: Snow) -> NDArray[np.float64]:
    """Return the mean fall speed in m/s of flakes of a diameter.

    Aggregates of densely rimed dendrites; of unrimed ones in the cold (Locatelli and Hobbs,
    J. Geophys. Res. 79, 1974, table 1).
    """
    factor, power = (0.8, 0.16) if snow.temperature_c < -10 else (0.79, 0.27)
    return np.asarray(factor * np.asarray(diameter_mm, np.float64) ** power)
