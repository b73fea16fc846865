"""Say which numbers of a scene are fitted, in which ranges, and what is known of them before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.generators import Scene

Vector = NDArray[np.float64]
FULL_FRAME_MM = 36.0
"""Width of the sensor for which the focal length is written down."""


@dataclass(frozen=True)
class Take:
    """A snowfall, and the coder that it went through on its way to the clip."""

    scene: Scene
    crf: float = 0.0
    """H.264's constant rate factor; 0 for a clip that lost nothing."""


@dataclass(frozen=True)
class Knob:
    """A number that is fitted: where it is in the take, its range, and what is usual."""

    path: str
    low: float
    high: float
    usual: float | None = None
    """What cameras and snow have as a rule; None if nothing is known but the range."""
    spread: float = math.log(2)
    """One standard deviation from the usual number; of its logarithm, if the range has no 0."""
    per_clip: bool = False
    """Each clip has its own: what changes between clips of one snowfall and one camera."""

    @property
    def even(self) -> bool:
        """Tell whether the range is even, not logarithmic: such a range has a 0."""
        return self.low <= 0

    @property
    def width(self) -> float:
        """Return the width of the range, in units of `spread`'s kind."""
        return self.high - self.low if self.even else math.log(self.high / self.low)

    def value(self, place: float) -> float:
        """Return the number at a place in [0, 1]."""
        if self.even:
            return self.low + self.width * place
        return self.low * math.exp(place * self.width)

    def place(self, value: float) -> float:
        """Return where in [0, 1] a number lies."""
        part = value - self.low if self.even else math.log(max(value, 1e-12) / self.low)
        return min(max(part / self.width, 0.0), 1.0)

    def surprise(self, place: float) -> float:
        """Return by how many standard deviations a place is off the usual one."""
        if self.usual is None:
            return 0.0
        return (place - self.place(self.usual)) * self.width / self.spread


CRF, USUAL_CRF = "coder.crf", 23.0


def knobs(
    frame_s: float, hfov_deg: float | None = None, crf: float | None = None
) -> tuple[Knob, ...]:
    """Return the numbers that are fitted; no exposure is longer than a frame.

    What is given is not fitted. Without the field of view the rate is less certain, since a longer
    lens sees more flakes of a size before one another. Coders drop what is faint: without its
    coder, synthetic snow has grain that real footage has lost.
    """
    view = Knob("camera.hfov_deg", 6.0, 100.0, 40.0, math.log(2))
    optics = (
        Knob("camera.shutter_s", frame_s / 50, frame_s),
        Knob("camera.psf_sigma_px", 0.3, 2.0, 0.8, math.log(1.6)),
        Knob("camera.f_number", 1.4, 22.0, 5.6, math.log(2)),
        Knob("camera.focus_m", 2.0, 1000.0, 40.0, math.log(5)),
    )
    return (
        Knob("snow.rate_mm_per_h", 0.05, 10.0),
        Knob("snow.extinction_scale", 0.25, 4.0, 1.0, math.log(1.5)),
        Knob("snow.melted_min_mm", 0.05, 1.5, 0.2, math.log(2)),
        *(() if hfov_deg else (view,)),
        *optics,
        *(() if crf is not None else (Knob(CRF, 10.0, 40.0, USUAL_CRF, 0.25),)),
        Knob("light.flake_gain", 0.25, 4.0, 1.25, math.log(1.6), per_clip=True),
        Knob("wind.velocity_m_per_s", -6.0, 6.0, per_clip=True),
    )


def turned(base: Take, turns: Sequence[Knob], places: Vector) -> Take:
    """Return a take with the numbers at places in [0, 1]; of the wind only the part across.

    With the f-number goes the focal length that a full frame needs for the field of view.
    """
    scene, crf = base.scene, base.crf
    for knob, place in zip(turns, places, strict=True):
        value = knob.value(float(place))
        if knob.path == CRF:
            crf = value
            continue
        table, name = knob.path.split(".")
        part = getattr(scene, table)
        new = (value, *part.velocity_m_per_s[1:]) if table == "wind" else value
        scene = replace(scene, **{table: replace(part, **{name: new})})
    if any(knob.path == "camera.f_number" for knob in turns):
        focal_mm = min(max(full_frame_mm(scene.camera.hfov_deg), 1.0), 600.0)
        scene = replace(scene, camera=replace(scene.camera, focal_mm=focal_mm))
    return Take(scene, crf)


def read_off(take: Take, path: str) -> float:
    """Return the number of a take that a knob turns; the f-number is that of a full frame."""
    scene = take.scene
    if path == CRF:
        return take.crf
    table, name = path.split(".")
    value = getattr(getattr(scene, table), name)
    if path == "wind.velocity_m_per_s":
        return float(value[0])
    if path == "camera.f_number":
        camera = scene.camera
        return float(value * full_frame_mm(camera.hfov_deg) / camera.focal_mm)
    return float(value)


def full_frame_mm(hfov_deg: float) -> float:
    """Return the focal length that gives a field of view on a sensor 36 mm wide."""
    return FULL_FRAME_MM / 2 / math.tan(math.radians(hfov_deg) / 2)
