"""Read the poses of a camera: CSV, TUM's and KITTI's text files, or JSON.

A pose maps from the camera's axes (x right, y down, z forward) to any axes that stand, in metres.
Only how poses differ from the first one counts.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.errors import InputError
from rvsd_bench.generators.passage import BEYOND_S
from rvsd_bench.generators.path import CameraPath, camera_path
from rvsd_bench.texts import parse_json

Array = NDArray[np.float64]

COLUMNS = ("tx", "ty", "tz", "qx", "qy", "qz", "qw")
TIMES = ("time", "time_s", "timestamp")
FORMATS = (
    "a CSV whose header is vx,vy,vz or frame,tx,ty,tz,qx,qy,qz,qw (or time instead of frame), "
    "lines of 8 numbers (TUM) or 12 (KITTI), or JSON with velocity_m_per_s, poses, or time_s, "
    "position_m and rotation_xyzw"
)
FASTEST_M_PER_S = 100.0
SLACK = 1e-3
"""By how much a quaternion's length and a matrix's axes may be off."""
WIDEST_TURN_DEG = 90.0
"""From one pose to the next; beyond it the way between them is a guess."""


def read_poses(path: Path, clip: Clip) -> CameraPath:
    """Return the path of a clip's camera from a file of poses.

    Poses without time stamps belong to the frames one by one, and there may be more than frames.
    Time stamps in seconds count from the first pose, which is that of the first frame, and must
    last until the last frame. Raises InputError for what is no such file, for numbers that are not
    finite, quaternions that are not of length 1, times that do not increase, and too few poses.
    """
    try:
        order, place, turn = _table(path)
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is not a file of poses; expected {FORMATS}") from error
    _check_shape(path, place, turn)
    turn = _quaternions(path, turn)
    times = np.asarray(clip.times, np.float64) - float(clip.times[0])
    when = _moments(path, order, len(place), times)
    kept = min(int(np.searchsorted(when, times[-1] + BEYOND_S)) + 1, len(when))
    found = camera_path(float(clip.times[0]), when[:kept], place[:kept], turn[:kept])
    _check_steps(path, found)
    return found


def integrated(clip: Clip, velocity_m_per_s: Array) -> CameraPath:
    """Return the path of a camera of given velocities [N, 3], one for each frame, that never turns.

    Between frames the velocity changes evenly.
    """
    times = np.asarray(clip.times, np.float64)
    steps = (velocity_m_per_s[1:] + velocity_m_per_s[:-1]) / 2 * np.diff(times)[:, None]
    places = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    level = np.tile([0.0, 0.0, 0.0, 1.0], (len(times), 1))
    return camera_path(float(times[0]), times - times[0], places, level)


def _table(path: Path) -> tuple[tuple[str, Any], Array, Array]:
    """Return what orders the poses and its kind, places [N, 3], and turns [N, 4] or [N, 3, 3]."""
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".json":
        return _from_json(parse_json(text))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ValueError("no lines")
    if lines[0].split(",")[0].strip().isidentifier() and "," in lines[0]:
        return _from_csv(path, lines)
    rows = [[float(part) for part in line.replace(",", " ").split()] for line in lines]
    widths = {len(row) for row in rows}
    if widths == {8}:
        values = np.array(rows)
        return ("time", values[:, 0]), values[:, 1:4], values[:, 4:]
    if widths == {12}:
        matrices = np.array(rows).reshape(-1, 3, 4)
        return ("frame", None), matrices[:, :, 3], matrices[:, :, :3]
    raise InputError(f"{path}: lines of {_told(widths)} numbers; expected 8 (TUM) or 12 (KITTI)")


def _told(widths: set[int]) -> str:
    return " and ".join(map(str, sorted(widths)))


def _from_csv(path: Path, lines: list[str]) -> tuple[tuple[str, Any], Array, Array]:
    table = csv.DictReader([line.replace(" ", "") for line in lines])
    names = list(table.fieldnames or ())
    missing = [name for name in COLUMNS if name not in names]
    order = next((name for name in ("frame", *TIMES) if name in names), None)
    if missing or order is None:
        lacking = ", ".join(missing or ["frame or time"])
        raise InputError(f"{path}: its header lacks {lacking}; expected {FORMATS}")
    rows = [[float(row[name]) for name in (order, *COLUMNS)] for row in table]
    values = np.array(rows).reshape(-1, 8)
    kind = "frame" if order == "frame" else "time"
    return (kind, values[:, 0]), values[:, 1:4], values[:, 4:]


def _from_json(told: dict[str, Any]) -> tuple[tuple[str, Any], Array, Array]:
    if "poses" in told:
        matrices = np.array(told["poses"], np.float64)
        return ("frame", None), matrices[:, :3, 3], matrices[:, :3, :3]
    when: tuple[str, Any] = ("frame", None)
    if "time_s" in told:
        when = ("time", np.array(told["time_s"], np.float64))
    place, turn = (np.array(told[key], np.float64) for key in ("position_m", "rotation_xyzw"))
    return when, place, turn


def _check_shape(path: Path, place: Array, turn: Array) -> None:
    count = len(place) if place.ndim else 0
    fits = place.shape == (count, 3) and turn.shape in ((count, 4), (count, 3, 3))
    if not fits or not count:
        raise InputError(f"{path} is not a file of poses; expected {FORMATS}")
    whole = np.isfinite(place).all(axis=1) & np.isfinite(turn.reshape(count, -1)).all(axis=1)
    if not whole.all():
        raise InputError(f"{path}: pose {np.argmin(whole) + 1} holds a number that is not finite")


def _quaternions(path: Path, turn: Array) -> Array:
    if turn.ndim == 2:
        length = np.linalg.norm(turn, axis=1)
        worst = int(np.argmax(np.abs(length - 1)))
        if abs(length[worst] - 1) > SLACK:
            raise InputError(
                f"{path}: the quaternion of pose {worst + 1} has length {length[worst]:.4g}; "
                "expected qx,qy,qz,qw of length 1"
            )
        return turn
    from scipy.spatial.transform import Rotation

    off = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    off = np.maximum(off, np.abs(np.linalg.det(turn) - 1))
    worst = int(np.argmax(off))
    if off[worst] > SLACK:
        raise InputError(
            f"{path}: the matrix of pose {worst + 1} is no rotation, it is off by {off[worst]:.2g}"
        )
    return np.asarray(Rotation.from_matrix(turn).as_quat(), np.float64)


def _moments(path: Path, when: tuple[str, Any], count: int, times: Array) -> Array:
    """Return the time of each pose after the first, or raise InputError if they end too early."""
    kind, order = when
    if order is not None:
        if order.shape != (count,):
            raise InputError(f"{path}: {order.size} times for {count} poses; give one for each")
        late = (np.diff(order, prepend=-np.inf) > 0) & np.isfinite(order)
        if not late.all():
            wrong = int(np.argmin(late)) + 1
            raise InputError(f"{path}: the {kind} of pose {wrong} is not after the one before it")
    if kind == "time":
        since = np.asarray(order - order[0], np.float64)
        frame_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        if since[-1] < times[-1] - frame_s / 2:
            raise InputError(
                f"{path}: its {count} poses last {since[-1]:.4g} s, the clip {times[-1]:.4g} s; "
                "give poses until the last frame"
            )
        return since
    frames = np.arange(count) if order is None else order
    if frames[0] != 0 or (np.diff(frames) != 1).any() or count < len(times):
        raise InputError(
            f"{path}: {count} poses for a clip of {len(times)} frames; give one for each frame, "
            "from frame 0 on"
        )
    step = times[-1] - times[-2] if len(times) > 1 else 1.0
    return np.concatenate([times, times[-1] + step * np.arange(1, count - len(times) + 1)])


def _check_steps(path: Path, found: CameraPath) -> None:
    if len(found.time_s) < 2:
        return
    speeds = np.linalg.norm(np.diff(found.position_m, axis=0), axis=1) / np.diff(found.time_s)
    fastest = int(np.argmax(speeds))
    if not speeds[fastest] <= FASTEST_M_PER_S:
        raise InputError(
            f"{path}: from pose {fastest + 1} to {fastest + 2} the camera moves at "
            f"{speeds[fastest]:.4g} m/s; at most {FASTEST_M_PER_S:g} (places are in metres)"
        )
    cosines = np.abs(np.sum(found.rotation[1:] * found.rotation[:-1], axis=1))
    widest = int(np.argmin(cosines))
    turn_deg = 2 * np.degrees(np.arccos(min(float(cosines[widest]), 1.0)))
    if turn_deg > WIDEST_TURN_DEG:
        raise InputError(
            f"{path}: from pose {widest + 1} to {widest + 2} the camera turns by {turn_deg:.3g} "
            f"degrees; at most {WIDEST_TURN_DEG:g}: give more poses"
        )
