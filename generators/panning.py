"""See how a camera turns that stays in its place: a pan, a tilt, or a hand that is not steady.

What is far away moves under a turn by what the turn alone says, wherever it is. From each frame to
the next the turn is the one that corners agree on, and the turns are added up along the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.generators.path import CameraPath, camera_path

Array = NDArray[np.float64]
Follow = Callable[[int], tuple[Array, Array]]

CLOSE_PX = 0.5
CLOSE_SHARE = 0.03
"""A corner fits a turn if it misses by less than this and this share of its way."""
LEAST_CORNERS = 8


class Turn(NamedTuple):
    """The turn from a frame to the next, seen in its corners."""

    vector: Array
    """[3] axis times angle in radians by which directions turn, in the camera's axes."""
    explained: float
    """Share of the corners that fit."""
    still: float
    """Share of them that fit no turn at all."""


def turn_between(points: Array, flow: Array, focal_px: float) -> Turn:
    """Return the turn that explains most of a flow; points [N, 2] count from the middle, in px.

    Newton's steps of robust least squares on the true perspective, from no turn on.
    """
    x, y = (points / focal_px).T
    there = (points + flow) / focal_px
    rays = np.column_stack([x, y, np.ones_like(x)])
    vector = np.zeros(3)
    for _ in range(12):
        seen = rays @ _turned(vector).T
        u, v = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
        rest = there - np.column_stack([u, v])
        weight = 1 / (np.hypot(*rest.T) * focal_px + 0.3)
        across = np.column_stack([-u * v, 1 + u * u, -v])
        down = np.column_stack([-1 - v * v, u * v, u])
        lines = np.concatenate([across * weight[:, None], down * weight[:, None]])
        goal = np.concatenate([rest[:, 0] * weight, rest[:, 1] * weight])
        step = np.linalg.lstsq(lines, goal, rcond=None)[0]
        vector = vector + step
    allowed = CLOSE_PX + CLOSE_SHARE * np.hypot(*flow.T)
    fits = np.hypot(*rest.T) * focal_px < allowed
    return Turn(vector, float(fits.mean()), float((np.hypot(*flow.T) < allowed).mean()))


def path_of_turns(clip: Clip, follow: Follow, focal_px: float) -> tuple[CameraPath, float]:
    """Return the path of a camera that turns in its place, and the median share explained.

    `follow(index)` returns corners of a frame, from the middle, and their flow to the next frame,
    in pixels at which the focal length is `focal_px`. Where there are too few the camera rests.
    """
    turns, shares = [np.eye(3)], []
    for index in range(len(clip) - 1):
        points, flow = follow(index)
        if len(points) < LEAST_CORNERS:
            shares.append(0.0)
            turns.append(turns[-1])
            continue
        found = turn_between(points, flow, focal_px)
        shares.append(found.explained)
        turns.append(turns[-1] @ _turned(found.vector).T)
    from scipy.spatial.transform import Rotation

    # Rounded, so that the last bits of a processor's arithmetic do not reach the flakes.
    rotation = np.round(Rotation.from_matrix(np.array(turns)).as_quat(), 6)
    times = np.asarray(clip.times, np.float64)
    path = camera_path(float(times[0]), times, np.zeros((len(times), 3)), rotation)
    return path, float(np.median(shares))


def _turned(vector: Array) -> Array:
    """Return the rotation matrix of an axis times an angle (Rodrigues)."""
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.asarray(np.eye(3) + cross)
    sine, rest = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    return np.asarray(np.eye(3) + sine * cross + rest * cross @ cross)
