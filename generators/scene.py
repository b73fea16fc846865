"""Say what a snowfall is: every number of a scene, with its unit in its name and its range.

The camera looks along +z; x points right and y down. Ranges are those of real snowfalls and real
cameras; `rvsd_bench.recipe.structure` refuses what lies outside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import bounded


def _rising(**numbers: float) -> None:
    """Raise InputError unless the first of two numbers is the smaller one."""
    (low, least), (high, most) = numbers.items()
    if least >= most:
        raise InputError(f"needs {low} below {high}, got {least:g} and {most:g}")


@dataclass(frozen=True)
class Snow:
    """What falls: how much, how large, how fast."""

    rate_mm_per_h: float = bounded(1.0, 0.05, 15)
    """Liquid water that falls on level ground."""
    size_law: Literal["sekhon", "gunn_marshall"] = "sekhon"
    """Numbers by melted diameter (Sekhon and Srivastava 1970; Gunn and Marshall 1958)."""
    normalise_flux: bool = True
    """Scale the numbers so that the flakes, at their fall speeds, carry exactly the rate."""
    melted_min_mm: float = bounded(0.15, 0.05, 2)
    melted_max_mm: float = bounded(5.0, 1, 20)
    """5 mm of water make a flake of 23 mm, about the largest that is seen."""
    temperature_c: float = bounded(-4.0, -25, 2)
    """Above -1 flakes are wet, twice as dense; below -10 a third less dense."""
    extinction_scale: float = bounded(1.0, 0.25, 4)
    """A flake's area over the law's, at equal mass: visibility scatters so between storms."""
    opacity: float = bounded(0.9, 0.1, 1)
    """The share of the light behind its outline that a flake stops."""
    fall_speed_spread_m_per_s: float = bounded(0.2, 0, 0.7)
    flutter_m: float = bounded(0.009, 0, 0.05)
    """Mean amplitude of the sideways swing; it varies by half between flakes."""
    flutter_hz: float = bounded(2.75, 0, 8)

    def __post_init__(self) -> None:
        _rising(melted_min_mm=self.melted_min_mm, melted_max_mm=self.melted_max_mm)


@dataclass(frozen=True)
class Wind:
    """What carries the flakes: a steady wind and frozen-in eddies."""

    velocity_m_per_s: tuple[float, float, float] = bounded((1.0, 0.0, 0.2), -40, 40)
    turbulence_m_per_s: float = bounded(0.3, 0, 8)
    """Root mean square of each component."""
    largest_eddy_m: float = bounded(8.0, 0.5, 100)
    smallest_eddy_m: float = bounded(0.3, 0.05, 10)

    def __post_init__(self) -> None:
        _rising(smallest_eddy_m=self.smallest_eddy_m, largest_eddy_m=self.largest_eddy_m)


VISIBILITY = 3.912
"""-ln 0.02: Koschmieder's visibility, at which contrast falls to 2 %, times the extinction."""


@dataclass(frozen=True)
class Fog:
    """What hangs in the air besides the flakes, and how unevenly."""

    extinction_per_m: float = bounded(None, 0, 0.2)
    """Koschmieder's visibility of fog alone is 3.912 over this; 0.002 if neither is given."""
    visibility_m: float | None = bounded(None, 20, 100_000)
    """Another way to give the extinction; once that is found, this is None."""
    noise_amplitude: float = bounded(0.0, 0, 0.8)
    """The density differs from its mean by at most this share, and by two fifths of it usually."""
    noise_scale_m: float = bounded(12.0, 0.5, 200)
    """Across the largest clouds; wind carries them."""
    noise_octaves: int = bounded(3, 1, 5)
    """Each is half as large and half as strong as the one before."""

    def __post_init__(self) -> None:
        if self.visibility_m is not None and self.extinction_per_m is not None:
            raise InputError("needs one of extinction_per_m and visibility_m, got both")
        if self.visibility_m is not None and not 20 <= self.visibility_m <= 100_000:
            raise InputError(f"visibility_m is {self.visibility_m:g}, must lie in [20, 100000]")
        if self.extinction_per_m is None:
            known = 0.002 if self.visibility_m is None else VISIBILITY / self.visibility_m
            object.__setattr__(self, "extinction_per_m", known)
            object.__setattr__(self, "visibility_m", None)


@dataclass(frozen=True)
class Camera:
    """What takes the picture."""

    hfov_deg: float = bounded(None, 5, 140)
    """Horizontal field of view; 58.1 if neither it nor the sensor is given: a focal length of 0.9
    picture widths."""
    sensor_mm: float | None = bounded(None, 1, 100)
    """Width of the sensor: with the focal length another way to give the field of view; once that
    is found, this is None."""
    focal_mm: float = bounded(4.25, 1, 600)
    f_number: float = bounded(1.8, 0.7, 32)
    focus_m: float = bounded(1000.0, 0.1, 1000)
    """Distance in focus; 1000 stands for infinity."""
    shutter_s: float = bounded(1 / 120, 1e-5, 1)
    rolling_shutter_s: float = bounded(0.0, 0, 1)
    """From the first row's exposure to that of the row below the last; 0 if all begin at once."""
    psf_sigma_px: float = bounded(0.6, 0, 3)
    """Blur by lens, demosaicing and codec."""
    near_m: float = bounded(0.3, 0.05, 5)
    """Nearer flakes are not drawn: the hood, or the windscreen, keeps them away."""

    def __post_init__(self) -> None:
        if self.sensor_mm is not None and self.hfov_deg is not None:
            raise InputError("needs one of hfov_deg and sensor_mm, got both")
        if self.sensor_mm is not None and not 1 <= self.sensor_mm <= 100:
            raise InputError(f"sensor_mm is {self.sensor_mm:g}, must lie in [1, 100]")
        if self.hfov_deg is None:
            angle = 58.1
            if self.sensor_mm is not None:
                angle = 2 * math.degrees(math.atan2(self.sensor_mm / 2, self.focal_mm))
            object.__setattr__(self, "hfov_deg", angle)
            object.__setattr__(self, "sensor_mm", None)

    def focal_px(self, width: int) -> float:
        """Return the focal length in pixels of a picture `width` pixels wide."""
        return width / 2 / math.tan(math.radians(self.hfov_deg) / 2)


@dataclass(frozen=True)
class Light:
    """What the air and the flakes shine with."""

    mode: Literal["day", "night", "headlight"] = "day"
    """At night the air is dark but for the lamps that the clip shows; headlights come on top."""
    airlight: tuple[float, float, float] | None = bounded(None, 0, 1)
    """Atmospheric light, linear RGB; estimated from the clip if absent."""
    flake_gain: float = bounded(1.25, 0.2, 20)
    """Radiance of a flake over that of the air, before the limits that the sky sets."""
    flake_gain_spread: float = bounded(0.2, 0, 0.9)
    """Flakes differ evenly by up to this share."""
    lamp_threshold: float = bounded(0.35, 0, 0.95)
    """At night: what is brighter in linear light, in any colour, is taken for a lamp."""
    lamp_glow: float = bounded(30.0, 0, 1000)
    """At night: the light of lamps over that which the clip shows of them, since cameras clip it.
    With 1 the glow holds as much light as the lamps."""
    headlight_m2: float = bounded(400.0, 0, 10_000)
    """Headlights: what they add to a flake's radiance over the ambient air's, times z² in m²."""
    headlight_offset_m: float = bounded(2.0, 0.3, 10)
    """Distance of the headlights from the camera: flakes just before the lens are not lit."""
    beam_width_deg: float = bounded(40.0, 2, 120)
    """Full angle at half the strength of the beam."""
    beam_height_deg: float = bounded(20.0, 2, 120)


@dataclass(frozen=True)
class Depth:
    """How deep the scene is, and where the road lies if no depth map is given."""

    far_m: float | None = bounded(None, 3, 5000)
    """Depth of the sky and of all that lies beyond; the depth's own default if absent."""
    camera_height_m: float = bounded(1.5, 0.2, 50)
    horizon: float | None = bounded(None, -0.5, 1.5)
    """Row of the horizon over the height of the picture. If absent, the one that the motion of the
    camera shows, else 0.45."""


@dataclass(frozen=True)
class Tiers:
    """How many flakes are simulated one by one."""

    max_sim: int = bounded(200_000, 1000, 2_000_000)
    dust_ratio: float = bounded(50.0, 2, 1000)
    """Area of the smallest flake drawn singly over that of the smallest drawn as grain."""


@dataclass(frozen=True)
class Compose:
    """Where the layers are put together."""

    domain: Literal["linear", "srgb"] = "linear"
    """Linear light, as cameras see; or display values, as many older datasets were made."""


@dataclass(frozen=True)
class Scene:
    """One snowfall, all numbers fixed."""

    about: str = ""
    snow: Snow = field(default_factory=Snow)
    wind: Wind = field(default_factory=Wind)
    fog: Fog = field(default_factory=Fog)
    camera: Camera = field(default_factory=Camera)
    light: Light = field(default_factory=Light)
    depth: Depth = field(default_factory=Depth)
    tiers: Tiers = field(default_factory=Tiers)
    compose: Compose = field(default_factory=Compose)
