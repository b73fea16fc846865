"""See in the pictures how the camera moves: sparse flow, its focus, and the road as a yardstick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.generators.glimpses import Glimpses, evenly
from rvsd_bench.generators.motion import Motion, towards
from rvsd_bench.generators.panning import path_of_turns, turn_between
from rvsd_bench.generators.road import Tracks, road_mask, speed_from_road

Array = NDArray[np.float64]

WIDEST_PX = 960
ENOUGH_PAIRS = 6
STILL_PX = 0.3
FINE_ENOUGH = (3, 20, 0.03)
"""Corners are followed until a step is below 0.03 pixels, in at most 20 steps."""
RIM_PX = 8
"""So many rows around what is searched for corners tell of them too."""
LEAST_CONFIDENCE = 0.15
TURNING = 0.6
"""A camera turns in its place if a turn explains so large a share of the corners, or more."""


@dataclass(frozen=True)
class _Pair:
    """Two neighbouring frames in grey, uint8 [h, w], and the corners followed between them."""

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    step_s: float
    points: Array
    flow: Array


def estimate_motion(clip: Clip, focal_px: float, height_m: float) -> Motion:
    """Return the velocity of the camera from at most 11 evenly spaced pairs of frames, mostly 6.

    A camera stands if most corners stand, and turns in its place if a turn explains most flow;
    then all frames are looked at. Else all flow must stream out of one focus of expansion, up to a
    small turn of the camera between the frames; the speed is the one on which corners of the road,
    `height_m` below the camera, agree. What does not fit gives zero with confidence 0 and the
    reason in `facts`.
    """
    pairs = [pair for pair in _pairs(clip) if len(pair.points) >= 8]
    if not pairs:
        return _standing(0.0, "too few corners to follow")
    still = float(np.median([(_length(pair.flow) < STILL_PX).mean() for pair in pairs]))
    if still >= 0.5:
        return _standing(still, "the corners stand")
    height, width = pairs[0].first.shape
    scale = clip.size[1] / width
    if _turns(pairs, focal_px / scale):
        return _turning(clip, focal_px / scale)
    focus, turns, explained = _focus_of_expansion(pairs)
    if not (0.1 < focus[0] / width < 0.9 and 0.2 < focus[1] / height < 0.8):
        return _standing(0.0, "the flow has no focus of expansion in the picture")
    focal_height = focal_px / scale * height_m
    tracks = [
        _road_tracks(pair, focus, turn, focal_height)
        for pair, turn in zip(pairs, turns, strict=True)
    ]
    road = speed_from_road(tracks, focal_height)
    speed, confidence = round(road.m_per_s, 1), round(explained * road.agreement, 3)
    if confidence < LEAST_CONFIDENCE or not speed:
        return _standing(0.0, "the road gives no scale")
    # Rounded, so that the last bits of a processor's arithmetic do not reach the flakes.
    place = (round(float(focus[0]) * scale, 1), round(float(focus[1]) * scale, 1))
    velocity = towards(place, speed, focal_px, clip.size)
    facts = {
        "pairs": len(pairs),
        "explained": round(explained, 3),
        "road_agreement": round(road.agreement, 3),
        "road_tracks": road.tracks,
        "road_pairs": road.pairs,
        "speed_spread_m_per_s": round(road.spread_m_per_s, 2),
        "camera_height_m": height_m,
        "focal_px": focal_px,
    }
    seen = place if speed > 0 else None
    return Motion(velocity, "flow", confidence, seen, place[1] / clip.size[0], facts)


def _standing(confidence: float, reason: str) -> Motion:
    return Motion((0.0, 0.0, 0.0), "flow", round(confidence, 3), facts={"reason": reason})


def _turns(pairs: list[_Pair], focal_px: float) -> bool:
    """Tell if a turn explains what most corners do, and no turn does not."""
    found = [turn_between(_centred(pair), pair.flow, focal_px) for pair in pairs]
    explained, still = np.median([[turn.explained, turn.still] for turn in found], axis=0)
    return bool(explained >= TURNING and explained > still + 0.2)


def _turning(clip: Clip, focal_px: float) -> Motion:
    """Return the motion of a camera that turns in its place, from all frames."""

    def follow(index: int) -> tuple[Array, Array]:
        pair = _pair(clip, index)
        return _centred(pair), pair.flow

    path, explained = path_of_turns(clip, follow, focal_px)
    facts = {"explained": round(explained, 3), "widest_turn_deg": round(path.widest_turn_deg(), 2)}
    return Motion((0.0, 0.0, 0.0), "flow", round(explained, 3), facts=facts, path=path)


def _centred(pair: _Pair) -> Array:
    height, width = pair.first.shape
    return np.asarray(pair.points - np.array([width / 2, height / 2]))


def _length(vectors: Array) -> Array:
    return np.hypot(vectors[..., 0], vectors[..., 1])


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _pairs(clip: Clip) -> list[_Pair]:
    """Return pairs of frames: where there are many, each second one tells as much as all.

    The first frames of the others are read too, for they are needed later: so no frame of a video
    is decoded twice.
    """
    indices = evenly(len(clip)) if len(clip) > 1 else []
    apart = 2 if len(indices) >= 2 * ENOUGH_PAIRS else 1
    pairs = []
    for number, index in enumerate(indices):
        if number % apart == 0:
            pairs.append(_pair(clip, index))
        elif isinstance(clip, Glimpses):
            clip[index]
    return pairs


def _pair(clip: Clip, index: int) -> _Pair:
    first, second = _grey(clip, index), _grey(clip, index + 1)
    upper = np.zeros_like(first)
    upper[: len(first) // 2] = 1
    points, flow = _follow(first, second, [upper, 1 - upper], 400)
    return _Pair(first, second, float(clip.times[index + 1] - clip.times[index]), points, flow)


def _grey(clip: Clip, index: int) -> NDArray[np.uint8]:
    import cv2

    grey: NDArray[np.uint8] = cv2.cvtColor(clip[index], cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= WIDEST_PX:
        return grey
    size = (WIDEST_PX, round(height * WIDEST_PX / width))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _follow(
    first: NDArray[np.uint8], second: NDArray[np.uint8], parts: list[NDArray[np.uint8]], most: int
) -> tuple[Array, Array]:
    """Return corners (u, v) and their flow, float64 [N, 2]; only those that are found back.

    The best corners of each of some parts of the picture are followed.
    """
    import cv2

    found = [some for mask in parts if len(some := _corners(first, mask, most))]
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 2))
    start = np.concatenate(found)

    def follow(a: Any, b: Any, points: Any) -> tuple[Any, Any]:
        there, seen, _ = cv2.calcOpticalFlowPyrLK(
            a, b, points, None, winSize=(21, 21), maxLevel=4, criteria=FINE_ENOUGH
        )
        return there, seen

    there, seen = follow(first, second, start)
    back, again = follow(second, first, there)
    kept = (seen[:, 0] > 0) & (again[:, 0] > 0) & (np.abs(back - start).max(axis=(1, 2)) < 0.5)
    return start[kept, 0].astype(np.float64) + 0.5, (there - start)[kept, 0].astype(np.float64)


def _corners(picture: NDArray[np.uint8], mask: NDArray[np.uint8], most: int) -> Any:
    """Return the best corners of a part of a picture, float32 [N, 1, 2]."""
    import cv2

    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return ()
    top, bottom = max(0, rows[0] - RIM_PX), rows[-1] + 1 + RIM_PX
    found = cv2.goodFeaturesToTrack(picture[top:bottom], most, 0.01, 7, mask=mask[top:bottom])
    return () if found is None else found + np.array([0, top], np.float32)


def _focus_of_expansion(pairs: list[_Pair]) -> tuple[Array, Array, float]:
    """Return the common focus (u, v), each pair's turn in pixels [P, 2], and the share explained.

    Forward motion moves a point p by q (p - focus) with q > 0 unknown; a small turn adds the same
    shift to all points. What counts is therefore only the flow across the line to the focus, in
    pixels: robust least squares (weights 1 / (residual + 0.3)), focus and turns by turns.
    """
    points = np.concatenate([pair.points for pair in pairs])
    flow = np.concatenate([pair.flow for pair in pairs])
    owner = np.repeat(np.arange(len(pairs)), [len(pair.points) for pair in pairs])
    height, width = pairs[0].first.shape
    focus: Array = np.array([width / 2, height / 2])
    turns: Array = np.zeros((len(pairs), 2))
    for iteration in range(60):
        rest = flow - turns[owner]
        weight = _weights(points - focus, rest)
        lines = np.stack([-rest[:, 1], rest[:, 0]], axis=1) * weight[:, None]
        focus = np.asarray(np.linalg.lstsq(lines, _cross(rest, points) * weight, rcond=None)[0])
        if iteration > 10:  # a turn before the focus is roughly known would swallow the motion
            turns = np.array(
                [_turn(pair, focus, turn) for pair, turn in zip(pairs, turns, strict=True)]
            )
    across = _across(points - focus, flow - turns[owner])
    return focus, turns, float((np.abs(across) < 0.5).mean())


def _across(offset: Array, flow: Array) -> Array:
    return np.asarray(_cross(flow, offset) / np.maximum(_length(offset), 5.0))


def _weights(offset: Array, flow: Array) -> Array:
    distance = np.maximum(_length(offset), 5.0)
    return np.asarray(1 / (np.abs(_across(offset, flow)) + 0.3) / distance)


def _turn(pair: _Pair, focus: Array, turn: Array) -> Array:
    """Return the shift that all points of a pair share; 1 on the diagonal keeps it small."""
    offset = pair.points - focus
    distance = np.maximum(_length(offset), 5.0)
    weight = _weights(offset, pair.flow - turn) * distance
    normal = np.stack([offset[:, 1], -offset[:, 0]], axis=1) / distance[:, None]
    weighted = normal * weight[:, None]
    solution = np.linalg.solve(
        weighted.T @ normal + np.eye(2), weighted.T @ _across(offset, pair.flow)
    )
    return np.asarray(solution)


def _road_tracks(pair: _Pair, focus: Array, turn: Array, focal_height: float) -> Tracks:
    """Follow corners on the road: few of a whole picture's corners lie there."""
    mask = road_mask(pair.first.shape, focus, focal_height)
    points, flow = _follow(pair.first, pair.second, [mask], 200)
    return Tracks(points - focus, flow - turn, pair.step_s)
