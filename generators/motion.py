"""Say how the camera moves: standing, driving, as a file tells, or as the pictures show."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.errors import InputError
from rvsd_bench.generators.path import CameraPath
from rvsd_bench.generators.poses import FASTEST_M_PER_S, integrated, read_poses
from rvsd_bench.texts import parse_json

STEADY_DEG = 3.0
"""While a camera turns no more than this, all streams out of one place in the picture."""


@dataclass(frozen=True)
class Motion:
    """A velocity of the camera, constant over the clip: x right, y down, z forward."""

    velocity_m_per_s: tuple[float, float, float]
    method: str
    """`static`, `drive`, `flow` (seen in the pictures) or `file`."""
    confidence: float = 1.0
    """From 0 to 1; 1 for a motion that was given."""
    focus_of_expansion: tuple[float, float] | None = None
    """The pixel (u, v) that everything streams out of; None unless the camera moves forward."""
    horizon: float | None = None
    """The row of the horizon as a fraction of the height, where the pictures showed it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    path: CameraPath | None = None
    """Where the camera is and how it is turned at any time, if it changes its velocity or turns;
    then the velocity above is its mean."""


def resolve_motion(
    clip: Clip,
    spec: str = "auto",
    focal_px: float | None = None,
    *,
    height_m: float = 1.5,
    horizon: float = 0.45,
) -> Motion:
    """Find the motion of the camera.

    `spec` is `static`, `drive:KMH` (along the road, towards the horizon), a file of velocities or
    poses, or `auto`: estimated from the pictures, with the road `height_m` below the camera as the
    yardstick. Raises InputError for anything else.
    """
    focal = 0.9 * clip.size[1] if focal_px is None else focal_px
    if spec == "static":
        return Motion((0.0, 0.0, 0.0), "static")
    if spec == "auto":
        from rvsd_bench.generators.egomotion import estimate_motion

        return estimate_motion(clip, focal, height_m)
    if spec.startswith("drive:"):
        ahead = (0.5 * clip.size[1], horizon * clip.size[0])
        return Motion(towards(ahead, _kmh(spec) / 3.6, focal, clip.size), "drive", 1.0, ahead)
    return _from_file(Path(spec), clip, focal)


def towards(
    point: tuple[float, float], speed_m_per_s: float, focal_px: float, size: tuple[int, int]
) -> tuple[float, float, float]:
    """Return the velocity of a camera that moves towards a pixel (u, v) of its own picture.

    The principal point is the middle of the picture.
    """
    x, y = (point[0] - size[1] / 2) / focal_px, (point[1] - size[0] / 2) / focal_px
    forward = speed_m_per_s / float(np.sqrt(1 + x * x + y * y))
    return x * forward, y * forward, forward


def _kmh(spec: str) -> float:
    try:
        kmh = float(spec.removeprefix("drive:"))
    except ValueError:
        kmh = float("nan")
    if not abs(kmh) <= 3.6 * FASTEST_M_PER_S:
        raise InputError(f"motion {spec!r}: give km/h from -360 to 360, as in drive:50")
    return kmh


def _from_file(path: Path, clip: Clip, focal_px: float) -> Motion:
    if not path.is_file():
        raise InputError(
            f"motion {str(path)!r} is neither auto, static, drive:KMH nor an existing file"
        )
    if not _holds_velocities(path):
        return _along(read_poses(path, clip), clip.size, focal_px)
    velocities = read_velocities(path)
    if len(velocities) not in (1, len(clip)):
        raise InputError(
            f"{path}: {len(velocities)} velocities for a clip of {len(clip)} frames; "
            "give one, or one per frame"
        )
    if np.ptp(velocities, axis=0).any():
        return _along(integrated(clip, velocities), clip.size, focal_px)
    x, y, z = map(float, velocities[0])
    facts = {"count": len(velocities)}
    return Motion((x, y, z), "file", 1.0, _focus((x, y, z), clip.size, focal_px), facts=facts)


def _along(path: CameraPath, size: tuple[int, int], focal_px: float) -> Motion:
    """Return the motion of a camera on a path."""
    velocity, turn = path.mean_velocity(), path.widest_turn_deg()
    facts = {"count": len(path.time_s), "widest_turn_deg": round(turn, 3)}
    focus = _focus(velocity, size, focal_px) if turn < STEADY_DEG else None
    return Motion(velocity, "file", 1.0, focus, facts=facts, path=path)


def _focus(
    velocity: tuple[float, float, float], size: tuple[int, int], focal_px: float
) -> tuple[float, float] | None:
    x, y, z = velocity
    return (size[1] / 2 + focal_px * x / z, size[0] / 2 + focal_px * y / z) if z > 0 else None


def _holds_velocities(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            told = parse_json(text)
            return not isinstance(told, dict) or "velocity_m_per_s" in told
    except (OSError, ValueError):
        return True
    return "vx" in text.partition("\n")[0].replace(" ", "").split(",")


def read_velocities(path: Path) -> NDArray[np.float64]:
    """Read camera velocities in m/s, float64 [N, 3] (x right, y down, z forward).

    CSV: a header `vx,vy,vz`, then a row for the clip or one for each frame. JSON: an object with
    `velocity_m_per_s`, a triple or a list of triples. Raises InputError for anything else.
    """
    expected = "a CSV with the header vx,vy,vz or a JSON object with velocity_m_per_s"
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            rows = parse_json(text)["velocity_m_per_s"]
        else:
            table = csv.DictReader(text.splitlines())
            rows = [[row["vx"], row["vy"], row["vz"]] for row in table]
        values = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is not a file of velocities; expected {expected}") from error
    if values.ndim != 2 or values.shape[1] != 3 or not len(values):
        raise InputError(f"{path}: expected {expected}, three numbers a row")
    if not (np.abs(values) <= FASTEST_M_PER_S).all():
        raise InputError(f"{path}: every velocity must lie within {FASTEST_M_PER_S:g} m/s")
    return values
