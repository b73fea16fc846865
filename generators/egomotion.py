"""See in the pictures how the camera moves: sparse flow, its focus, and the road as a yardstick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.generators.glimpses import evenly
from rvsd_bench.generators.motion import Motion, towards

Array = NDArray[np.float64]

WIDEST_PX = 960
STILL_PX = 0.3
MOST_SAMPLES = 20_000
COARSE = 8
"""Among all speeds the best is looked for with every eighth of these samples, then with all."""
SPEEDS_M_PER_S = np.arange(-15.0, 60.5, 0.75)
LEAST_CONFIDENCE = 0.15
FAINT_SLOPE = 6
"""Sobel slopes below this are mostly what a video coder repeats in place from frame to frame."""


@dataclass(frozen=True)
class _Pair:
    """Two neighbouring frames in grey, float32 [h, w], and the corners followed between them."""

    first: NDArray[np.float32]
    second: NDArray[np.float32]
    step_s: float
    points: Array
    flow: Array


def estimate_motion(clip: Clip, focal_px: float, height_m: float) -> Motion:
    """Return the velocity of the camera from at most 12 evenly spaced pairs of frames.

    A camera stands if most corners stand. Else all flow must stream out of one focus of expansion,
    up to a small turn of the camera between the frames; the speed is the one at which the road,
    `height_m` below the camera, maps one frame onto the next. What does not fit gives zero with
    confidence 0 and the reason in `facts`.
    """
    pairs = [pair for pair in _pairs(clip) if len(pair.points) >= 8]
    if not pairs:
        return _standing(0.0, "too few corners to follow")
    still = float(np.median([(_length(pair.flow) < STILL_PX).mean() for pair in pairs]))
    if still >= 0.5:
        return _standing(still, "the corners stand")
    focus, turns, explained = _focus_of_expansion(pairs)
    height, width = pairs[0].first.shape
    scale = clip.size[1] / width
    if not (0.1 < focus[0] / width < 0.9 and 0.2 < focus[1] / height < 0.8):
        return _standing(0.0, "the flow has no focus of expansion in the picture")
    speed, match = _road_speed(pairs, focus, turns, focal_px / scale * height_m)
    confidence = round(explained * max(match, 0.0), 3)
    if confidence < LEAST_CONFIDENCE:
        return _standing(0.0, "the road gives no scale")
    # Rounded, so that the last bits of a processor's arithmetic do not reach the flakes.
    place = (round(float(focus[0]) * scale, 1), round(float(focus[1]) * scale, 1))
    velocity = towards(place, speed, focal_px, clip.size)
    facts = {
        "pairs": len(pairs),
        "explained": round(explained, 3),
        "road_match": round(match, 3),
        "camera_height_m": height_m,
        "focal_px": focal_px,
    }
    seen = place if speed > 0 else None
    return Motion(velocity, "flow", confidence, seen, place[1] / clip.size[0], facts)


def _standing(confidence: float, reason: str) -> Motion:
    return Motion((0.0, 0.0, 0.0), "flow", round(confidence, 3), facts={"reason": reason})


def _length(vectors: Array) -> Array:
    return np.hypot(vectors[..., 0], vectors[..., 1])


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _pairs(clip: Clip) -> list[_Pair]:
    pairs = []
    for index in evenly(len(clip)) if len(clip) > 1 else []:
        first, second = _grey(clip, index), _grey(clip, index + 1)
        points, flow = _follow(first, second)
        step_s = float(clip.times[index + 1] - clip.times[index])
        pairs.append(
            _Pair(first.astype(np.float32), second.astype(np.float32), step_s, points, flow)
        )
    return pairs


def _grey(clip: Clip, index: int) -> NDArray[np.uint8]:
    import cv2

    grey: NDArray[np.uint8] = cv2.cvtColor(clip[index], cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= WIDEST_PX:
        return grey
    size = (WIDEST_PX, round(height * WIDEST_PX / width))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _follow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Return corners (u, v) and their flow, float64 [N, 2]; only those that are found back."""
    import cv2

    upper = np.zeros_like(first)
    upper[: len(first) // 2] = 1
    halves = [
        cv2.goodFeaturesToTrack(first, 400, 0.01, 7, mask=mask) for mask in (upper, 1 - upper)
    ]
    found = [half for half in halves if half is not None]
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 2))
    start = np.concatenate(found)

    def follow(a: Any, b: Any, points: Any) -> tuple[Any, Any]:
        there, seen, _ = cv2.calcOpticalFlowPyrLK(a, b, points, None, winSize=(21, 21), maxLevel=4)
        return there, seen

    there, seen = follow(first, second, start)
    back, again = follow(second, first, there)
    kept = (seen[:, 0] > 0) & (again[:, 0] > 0) & (np.abs(back - start).max(axis=(1, 2)) < 0.5)
    return start[kept, 0].astype(np.float64) + 0.5, (there - start)[kept, 0].astype(np.float64)


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


def _road_speed(
    pairs: list[_Pair], focus: Array, turns: Array, focal_height: float
) -> tuple[float, float]:
    """Return the speed at which the road maps frames onto their successors, and how well it does.

    A point y pixels below the horizon lies z = f h / y ahead; after moving by d its offset from the
    focus grows by z / (z - d). The match is the correlation of image slopes along the direction
    from the focus, where lane lines, which look the same at any speed, do not show; the mean over
    three strips, so that a row of parked cars at one side, which seems faster, is outvoted.
    """
    height, width = pairs[0].first.shape
    offset_x, offset_y = np.meshgrid(
        np.arange(width) + 0.5 - focus[0], np.arange(height) + 0.5 - focus[1]
    )
    chosen = _on_the_road(offset_x, offset_y, float(focus[1]), focal_height)
    if len(chosen) < 100:
        return 0.0, 0.0
    offset = np.stack([offset_x.ravel()[chosen], offset_y.ravel()[chosen]], axis=1)
    inverse_z = offset[:, 1] / focal_height
    side = np.digitize(offset[:, 0] / offset[:, 1], (-0.47, 0.47))
    away = np.hypot(offset_x, offset_y) + 1
    radial = (offset_x / away).astype(np.float32), (offset_y / away).astype(np.float32)
    slopes = [
        (
            _radial_slope(pair.first, *radial).ravel()[chosen],
            _radial_slope(pair.second, *radial),
        )
        for pair in pairs
    ]

    def match(speed: float, every: int = 1) -> float:
        total = 0.0
        strips = [np.flatnonzero(side[::every] == strip) for strip in range(3)]
        for pair, turn, (first, second) in zip(pairs, turns, slopes, strict=True):
            growth = 1 / np.maximum(1 - speed * pair.step_s * inverse_z[::every], 0.05)
            moved = _sample(second, focus + turn - 0.5 + offset[::every] * growth[:, None])
            known = first[::every]
            total += sum(_correlation(known[strip], moved[strip]) for strip in strips)
        return total / len(pairs) / len(strips)

    coarse = max(SPEEDS_M_PER_S, key=lambda speed: match(speed, COARSE))
    fine = max(np.round(coarse + np.arange(-0.5, 0.55, 0.1), 1), key=match)
    return float(fine), float(match(fine))


def _on_the_road(
    offset_x: Array, offset_y: Array, horizon: float, focal_height: float
) -> NDArray[np.int64]:
    """Return which pixels are tried: up to 40 m ahead, 2.1 m aside, above a bonnet."""
    height = len(offset_y)
    road = (offset_y > max(0.05 * height, focal_height / 40)) & (offset_y + horizon < 0.88 * height)
    chosen = np.flatnonzero(road & (np.abs(offset_x) < 1.4 * offset_y))
    return chosen[:: 1 + len(chosen) // MOST_SAMPLES]


def _radial_slope(
    grey: NDArray[np.float32], across: NDArray[np.float32], down: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the slope of a picture along a direction (across, down) at each pixel."""
    import cv2

    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    slope = cv2.Sobel(smooth, cv2.CV_32F, 1, 0) * across
    slope += cv2.Sobel(smooth, cv2.CV_32F, 0, 1) * down
    strong = np.clip(np.abs(slope) - FAINT_SLOPE, 0, 50)
    return np.asarray(np.sign(slope) * strong, np.float32)


def _sample(picture: NDArray[np.float32], place: Array) -> NDArray[np.float32]:
    import cv2

    where = place.astype(np.float32)
    return np.asarray(
        cv2.remap(picture, where[:, :1], where[:, 1:], cv2.INTER_LINEAR, borderValue=0.0)
    )[:, 0]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    scale = float(a @ a) * float(b @ b)
    return float(a @ b) / np.sqrt(scale) if scale > 0 else 0.0
