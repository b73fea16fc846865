"""The motion of the camera: given, read from a file, or seen in the pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, flakes, prepare
from rvsd_bench.generators.motion import Motion, read_velocities, resolve_motion, towards
from rvsd_bench.generators.scene import Snow, Wind
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.reading import read_clip
from rvsd_bench.seeds import stream

H, W = 180, 320


def texture(size: tuple[int, int], name: str = "texture") -> NDArray[np.float64]:
    coarse = 255 * stream(name).random((size[0] // 5, size[1] // 5))
    return np.kron(coarse, np.ones((5, 5)))


def clip_of(*greys: NDArray[np.float64]) -> ArrayClip:
    return ArrayClip(np.stack([np.dstack([grey] * 3).astype(np.uint8) for grey in greys]))


def test_static_stands_and_is_certain() -> None:
    motion = resolve_motion(clip_of(texture((H, W))), "static")
    assert motion == Motion((0.0, 0.0, 0.0), "static")


def test_a_given_speed_leads_towards_the_horizon() -> None:
    motion = resolve_motion(clip_of(texture((H, W))), "drive:36", focal_px=200.0, horizon=0.4)
    assert motion.focus_of_expansion == pytest.approx((W / 2, 0.4 * H))
    assert np.linalg.norm(motion.velocity_m_per_s) == pytest.approx(10)
    x, y, z = motion.velocity_m_per_s
    assert (200 * x / z + W / 2, 200 * y / z + H / 2) == pytest.approx(motion.focus_of_expansion)


@pytest.mark.parametrize("spec", ["drive:", "drive:fast", "drive:nan", "drive:9999"])
def test_a_speed_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="km/h"):
        resolve_motion(clip_of(texture((H, W))), spec)


def test_a_fixed_camera_stands_whatever_crosses_the_picture() -> None:
    background = texture((H, W))
    frames = []
    for i in range(6):
        frame = background + 4 * stream("noise", i).random((H, W))
        frame[90:150, 20 * i : 20 * i + 80] = texture((60, 80), "car")
        frames.append(np.clip(frame, 0, 255))
    motion = resolve_motion(clip_of(*frames))
    assert motion.velocity_m_per_s == (0.0, 0.0, 0.0)
    assert motion.confidence > 0.5


def test_a_panning_camera_does_not_drive() -> None:
    wide = texture((H, W + 60))
    motion = resolve_motion(clip_of(*[wide[:, 7 * i : 7 * i + W] for i in range(6)]))
    assert motion.velocity_m_per_s == (0.0, 0.0, 0.0)


def test_one_frame_and_an_empty_picture_stand_without_confidence() -> None:
    for clip in (clip_of(texture((H, W))), clip_of(*[np.zeros((H, W))] * 3)):
        motion = resolve_motion(clip)
        assert (motion.velocity_m_per_s, motion.confidence) == ((0.0, 0.0, 0.0), 0.0)
        assert "corners" in motion.facts["reason"]


@pytest.mark.parametrize("speed", [6.0, 14.0])
def test_the_rendered_street_gives_back_its_speed_and_vanishing_point(speed: float) -> None:
    clip = render_street(frames=5, size=(270, 480), speed_m_per_s=speed, scene="avenue")
    motion = resolve_motion(clip)
    assert motion.method == "flow"
    assert motion.confidence > 0.5
    assert motion.velocity_m_per_s[2] == pytest.approx(speed, rel=0.08)
    assert motion.focus_of_expansion == pytest.approx((240, 0.45 * 270), abs=3)
    assert motion.horizon == pytest.approx(0.45, abs=0.01)


def test_a_street_run_backwards_is_a_camera_going_back() -> None:
    clip = render_street(frames=4, size=(270, 480), speed_m_per_s=6.0, scene="avenue")
    motion = resolve_motion(ArrayClip(np.stack(list(clip))[::-1].copy()))
    assert motion.velocity_m_per_s[2] == pytest.approx(-6, rel=0.1)
    assert motion.focus_of_expansion is None


@pytest.mark.parametrize(
    ("name", "slowest", "fastest"),
    [
        ("static_road_bgs_640x360_120f.mp4", 0, 0),
        ("static_parking_intel_768x432_100f.mp4", 0, 0),
        ("drive_udacity_540p_221f.mp4", 20, 40),
        ("drive_udacity_720p_38f.mp4", 20, 40),
        ("synth_tartanground_rome_720p_90f.mp4", 2, 6),
    ],
)
def test_real_cameras_stand_drive_or_walk(
    shared_clips: Path, name: str, slowest: float, fastest: float
) -> None:
    motion = resolve_motion(read_clip(shared_clips / name, stop=60))
    assert slowest <= motion.velocity_m_per_s[2] <= fastest
    if fastest:
        assert motion.focus_of_expansion is not None


@pytest.mark.parametrize(
    ("speed", "height_m", "frames"), [(3.0, 1.5, 8), (8.0, 2.4, 4), (14.0, 1.2, 6), (25.0, 1.5, 3)]
)
def test_the_road_tells_the_speed_at_any_height_of_the_camera_and_of_any_few_frames(
    speed: float, height_m: float, frames: int
) -> None:
    """Parked cars and houses aside, which seem faster, and as few frames as there are."""
    street = render_street(frames=frames, size=(270, 480), speed_m_per_s=speed)
    clip = dataclasses.replace(street, height_m=height_m)
    motion = resolve_motion(clip, height_m=height_m)
    assert motion.velocity_m_per_s[2] == pytest.approx(speed, rel=0.08)
    assert motion.facts["speed_spread_m_per_s"] < 0.1 * speed
    assert motion.confidence > 0.3


def test_the_speed_of_a_real_drive_does_not_hang_on_how_many_frames_are_seen(
    shared_clips: Path,
) -> None:
    """Lane markings and shadows agree; cars ahead and the barrier, 3 and 60 m/s, are outvoted."""
    path = shared_clips / "drive_udacity_720p_38f.mp4"
    speeds = [resolve_motion(read_clip(path, stop=n)).velocity_m_per_s[2] for n in (5, 12, 38)]
    assert np.ptp(speeds) < 0.08 * np.mean(speeds)


def _wide_picture() -> NDArray[np.uint8]:
    import cv2

    coarse = stream("wide").random((120, 160)).astype(np.float32)
    return np.asarray(
        255 * cv2.GaussianBlur(np.kron(coarse, np.ones((6, 6))), (0, 0), 1.2), np.uint8
    )


def _turned_view(wide: NDArray[np.uint8], turn: NDArray[np.float64], focal: float) -> Any:
    """Look at a wide still picture, far away, through a camera that is turned."""
    import cv2

    inner = np.array([[focal, 0, W / 2], [0, focal, H / 2], [0, 0, 1]])
    outer = np.array([[focal, 0, wide.shape[1] / 2], [0, focal, wide.shape[0] / 2], [0, 0, 1]])
    grid = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(wide, outer @ turn @ np.linalg.inv(inner), (W, H), flags=grid)


@pytest.mark.parametrize(
    "angles",
    [
        [[1.2 * i, 0.4 * np.sin(i), 0.5 * np.sin(0.7 * i)] for i in range(8)],
        [[0.2 * np.sin(3 * i), 0.15 * np.sin(2 * i), 0.3 * np.sin(i)] for i in range(8)],
    ],
    ids=["a pan", "an unsteady hand"],
)
def test_a_camera_that_turns_in_its_place_is_seen_to_turn(angles: list[list[float]]) -> None:
    turns = Rotation.from_euler("yxz", angles, degrees=True)
    wide, focal = _wide_picture(), 288.0
    frames = [_turned_view(wide, turn, focal) for turn in turns.as_matrix()]
    motion = resolve_motion(clip_of(*frames), focal_px=focal)
    assert motion.velocity_m_per_s == (0.0, 0.0, 0.0)
    assert motion.path is not None and motion.confidence > 0.9
    for index, turn in enumerate(turns):
        seen = Rotation.from_matrix(motion.path.at(index / 25)[1])
        assert np.degrees((seen.inv() * turns[0].inv() * turn).magnitude()) < 0.05


def test_flakes_do_not_stick_to_the_screen_when_auto_sees_a_pan() -> None:
    """A turn to the right by 1.5 degrees a frame carries flakes left like the picture behind."""
    wide, focal = _wide_picture(), 0.9 * W
    angles = np.radians(1.5) * np.arange(5)[:, None] * np.array([0.0, 1.0, 0.0])
    turns = Rotation.from_rotvec(angles).as_matrix()
    clip = clip_of(*[_turned_view(wide, turn, focal) for turn in turns])
    calm = Scene(snow=Snow(rate_mm_per_h=3.0, flutter_m=0.0), wind=Wind((0.0, 0.0, 0.0), 0.0))
    moved = []
    for spec in ("auto", "static"):
        shot = prepare(clip, calm, seed=1, depth="constant:60", motion=spec)
        seen = flakes(shot, 2)
        middle = np.abs(seen.position_px - [W / 2, H / 2]).max(axis=1) < 40
        moved.append(np.median(seen.motion_px[middle], axis=0))
    assert moved[0] - moved[1] == pytest.approx([-focal * np.radians(1.5), 0], abs=0.4)


def test_velocities_come_from_csv_and_json(tmp_path: Path) -> None:
    clip = clip_of(*[texture((H, W))] * 2)
    (tmp_path / "v.csv").write_text("vx,vy,vz\n0,0,8\n0,0,10\n")
    (tmp_path / "v.json").write_text(json.dumps({"velocity_m_per_s": [0, 0, 9]}))
    for name, count in (("v.csv", 2), ("v.json", 1)):
        motion = resolve_motion(clip, str(tmp_path / name))
        assert motion.velocity_m_per_s == (0.0, 0.0, 9.0)
        assert motion.focus_of_expansion == (W / 2, H / 2)
        assert motion.facts["count"] == count
    assert read_velocities(tmp_path / "v.csv").shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("v.csv", "x,y,z\n1,2,3\n"),
        ("v.csv", "vx,vy,vz\n"),
        ("v.csv", "vx,vy,vz\n1,2\n"),
        ("v.csv", "vx,vy,vz\n0,0,nan\n"),
        ("v.csv", "vx,vy,vz\n0,0,1\n0,0,1\n0,0,1\n"),
        ("v.json", "{"),
        ("v.json", "[1, 2, 3]"),
        ("v.json", '{"velocity_m_per_s": [1, 2]}'),
        ("v.json", '{"pose": [[1, 0, 0, 0]]}'),
    ],
)
def test_a_file_that_holds_no_velocities_is_refused_by_name(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name) as caught:
        resolve_motion(clip_of(*[texture((H, W))] * 2), str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_an_unknown_motion_is_refused() -> None:
    with pytest.raises(InputError, match="neither auto, static, drive:KMH"):
        resolve_motion(clip_of(texture((H, W))), "parked")


def test_a_velocity_towards_a_pixel_projects_onto_it() -> None:
    x, y, z = towards((100.0, 50.0), 12.0, 300.0, (H, W))
    assert np.hypot(np.hypot(x, y), z) == pytest.approx(12)
    assert (300 * x / z + W / 2, 300 * y / z + H / 2) == pytest.approx((100, 50))
