"""Snow before a camera that follows a path: places, numbers, streaks, grain, fog and crops."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators import Scene, SnowPairs, flakes, prepare, preset, render_frame
from rvsd_bench.generators.dust import TILE_PX, Dust, fill_shells
from rvsd_bench.generators.flight import DEPTH, DU, DV, ID, Flight, U, V
from rvsd_bench.generators.fog import drifting_fog
from rvsd_bench.generators.path import CameraPath, camera_path
from rvsd_bench.generators.population import Population, View, populate
from rvsd_bench.generators.region import Region
from rvsd_bench.generators.scene import Camera, Fog, Snow, Wind
from rvsd_bench.generators.size_law import size_law
from rvsd_bench.generators.turbulence import modes
from rvsd_bench.generators.turning import TurningFlight
from rvsd_bench.media.images import write_png

Array = NDArray[np.float64]
VIEW = View(288.0, (180, 320), 0.3, 60.0)
SCENE = Scene(snow=Snow(rate_mm_per_h=2.0), wind=Wind((2.0, 0.0, 0.5), 0.8))
TIMES = np.arange(51) / 25


def _path(places: Any, angles_deg: Any, order: str = "yxz", times: Array = TIMES) -> CameraPath:
    """Return the path of a camera; positive y turns it right, positive x up."""
    turns = Rotation.from_euler(order, angles_deg, degrees=True)
    return camera_path(0.0, times, np.asarray(places, np.float64), turns.as_quat())


def _flight(path: CameraPath, scene: Scene = SCENE, seed: int = 0) -> TurningFlight:
    law = size_law(scene.snow)
    all_ = populate(law, scene, VIEW, 0.5, 1.0, ("t", seed))
    wind = scene.wind.velocity_m_per_s
    return TurningFlight(all_, modes(scene.wind, ("t", seed)), wind, path, scene.camera, VIEW)


def _swerving(times: Array = TIMES) -> CameraPath:
    places = np.stack([np.sin(2 * times), 0 * times, 10 * times], axis=1)
    angles = np.stack([50 * times, 8 * np.sin(4 * times), 10 * np.sin(3 * times)], axis=1)
    return _path(places, angles, times=times)


@pytest.mark.parametrize("rolling_s", [0.0, 0.03])
def test_on_a_straight_path_flakes_are_where_the_fast_flight_has_them(rolling_s: float) -> None:
    camera = Camera(rolling_shutter_s=rolling_s)
    ride = (0.5, 0.1, 8.0)
    path = _path(TIMES[:, None] * np.array(ride), np.zeros((len(TIMES), 3)))
    on_path = _flight(path, dataclasses.replace(SCENE, camera=camera))
    wind = SCENE.wind.velocity_m_per_s
    fast = Flight(on_path.flakes, on_path.waves, wind, ride, camera, VIEW)
    for time in (0.0, 0.37, 1.9, 4.0):
        here, there = on_path.seen(time), fast.seen(time)
        assert len(here) > 250
        assert here[:, :ID] == pytest.approx(there[:, :ID], abs=1e-8)
        assert (here[:, ID] % len(on_path.flakes) == there[:, ID]).all()


def test_a_flake_is_seen_where_the_poses_at_both_ends_of_the_exposure_have_it() -> None:
    """One flake, which repeats only far away, against SciPy's rotations and a pinhole."""
    start, fall, shutter = np.array([1.0, -0.5, 9.0]), 1.2, 0.02
    traits = np.array([[0.01, 50.0, fall, 0.0, 0.0, 0.0, 1.0]])
    one = Population(start[None], np.full((1, 3), 1e3), traits)
    calm = modes(Wind((0.0, 0.0, 0.0), 0.0), ("t",))
    path, camera = _swerving(), Camera(shutter_s=shutter)
    flight = TurningFlight(one, calm, (-0.4, 0.0, 0.3), path, camera, VIEW)
    for time in (0.0, 0.04, 0.11, 0.2):
        ends = []
        for moment in (time, time + shutter):
            place, turn = path.at(moment)
            there = start + moment * np.array([-0.4, fall, 0.3])
            x, y, z = Rotation.from_matrix(turn).inv().apply(there - place)
            ends.append([288 * x / z + 160, 288 * y / z + 90, z])
        (row,) = flight.seen(time)
        assert row[[U, V, DEPTH]] == pytest.approx(ends[0], abs=1e-9)
        assert row[[DU, DV]] == pytest.approx(np.subtract(ends[1], ends[0])[:2], abs=1e-9)


@pytest.mark.parametrize("angles", [(0, 0, 0), (70, 0, 0), (180, 0, 0), (20, -60, 35), (0, 0, 90)])
def test_however_the_camera_is_turned_the_frustum_holds_what_the_size_law_says(
    angles: tuple[float, float, float],
) -> None:
    law = size_law(SCENE.snow)
    reach = VIEW.reach_m(law.diameter_m, 0.5)
    solid = 320 * 180 / VIEW.focal_px**2
    expected = float(np.sum(law.number_per_m3 * solid / 3 * (reach**3 - VIEW.near_m**3)))
    turned = np.zeros((len(TIMES), 3))
    turned[1:] = angles
    path = _path(np.zeros((len(TIMES), 3)), turned)
    counts = []
    for seed in range(4):
        flight = _flight(path, seed=seed)
        for time in (0.4, 1.0, 1.8):
            rows = flight.seen(time)
            inside = (rows[:, U] >= 0) & (rows[:, U] < 320) & (rows[:, V] >= 0) & (rows[:, V] < 180)
            counts.append(inside.sum())
    assert np.mean(counts) / expected == pytest.approx(1, abs=0.04)


def _shot(motion: str, scene: Scene = SCENE, frames: int = 6, depth: str = "constant:40") -> Any:
    draw = np.random.Generator(np.random.Philox(1)).random((frames, 90, 150, 3))
    clip = ArrayClip((90 * (0.5 + draw)).astype(np.uint8), fps=25.0)
    return clip, prepare(clip, scene, seed=4, depth=depth, motion=motion)


def _pose_file(folder: Path, m_per_s: float = 9.0) -> str:
    times = np.arange(6) / 25
    angles = 50 * times[:, None] * np.array([1, 0.2, 0.3])
    quaternions = Rotation.from_euler("yxz", angles, degrees=True).as_quat()
    rows = np.column_stack([times, 0.3 * times, 0 * times, m_per_s * times, quaternions])
    np.savetxt(folder / "poses.txt", rows, fmt="%.15g")
    return str(folder / "poses.txt")


def test_a_flake_keeps_its_number_and_moves_by_its_stated_motion_through_a_pan(
    tmp_path: Path,
) -> None:
    calm = dataclasses.replace(SCENE, wind=Wind((0.0, 0.0, 0.0), 0.0))
    _, shot = _shot(_pose_file(tmp_path, m_per_s=0.0), calm)
    first, second = flakes(shot, 2), flakes(shot, 3)
    assert len(np.unique(first.id)) == len(first)
    _, here, there = np.intersect1d(first.id, second.id, return_indices=True)
    assert len(here) > 300
    landed = first.position_px[here] + first.motion_px[here]
    assert landed == pytest.approx(second.position_px[there], abs=1e-9)
    middle = (np.abs(first.position_px - [75, 45]) < [20, 15]).all(axis=1)
    pan_px = SCENE.camera.focal_px(150) * np.radians(2.0)
    assert np.median(first.motion_px[middle, 0]) == pytest.approx(-pan_px, rel=0.1)
    exposed = first.motion_px * SCENE.camera.shutter_s / 0.04
    assert np.median(np.abs(first.streak_px - exposed)) < 0.05


def test_crops_of_a_swerving_camera_are_those_of_the_whole_frame(tmp_path: Path) -> None:
    scene = dataclasses.replace(
        preset("heavy"),
        camera=Camera(rolling_shutter_s=0.02, focus_m=2.0, hfov_deg=30.0),
        fog=Fog(0.01, noise_amplitude=0.5),
    )
    clip, shot = _shot(_pose_file(tmp_path), scene)
    flight, left_out = shot.snowfall.flight, 0
    whole = [render_frame(shot, i, clip[i]) for i in (1, 2)]
    for region in (Region(13, 77, 33, 21), Region(50, 102, 40, 48), Region(31, 5, 1, 1)):
        few = flight.narrowed(shot.times[[1, 2]], region)
        left_out += len(flight.flakes) - len(few.flakes)
        for index, frame in zip((1, 2), whole, strict=True):
            part = render_frame(shot, index, clip[index], region)
            for plane in ("snowy", "t16", "z16", "p16"):
                assert (getattr(part, plane) == region.of(getattr(frame, plane))).all()
            time = float(shot.times[index])
            assert (few.seen(time, region)[:, :ID] == flight.seen(time, region)[:, :ID]).all()
    assert left_out > 0


def test_pairs_for_training_know_the_poses(tmp_path: Path) -> None:
    motion = _pose_file(tmp_path)
    clip, _ = _shot("static")
    (tmp_path / "clips" / "a").mkdir(parents=True)
    for index, frame in enumerate(clip):
        write_png(tmp_path / "clips" / "a" / f"{index}.png", frame)
    told: dict[str, Any] = {"frames": 2, "crop": 32, "seed": 5, "depth": "constant:40"}
    pairs = SnowPairs([tmp_path / "clips"], SCENE, motion=motion, **told)
    cut, sample = pairs.cut(3), pairs[3]
    cached = pairs.clips[0]
    shot = prepare(cached, SCENE, seed=5, source_id=cached.source_id, variant=cut.variant,
                   depth="constant:40", motion=motion)  # fmt: skip
    assert "path" in shot.facts["motion"]
    for row, index in enumerate(cut.frames):
        whole = cut.region.of(render_frame(shot, index, cached[index]).snowy)
        assert (255 * sample["snowy"][row].permute(1, 2, 0).numpy()).round() == pytest.approx(whole)


LAW = size_law(Snow(rate_mm_per_h=4.0))


def _dust(path: CameraPath, wind: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Dust:
    camera = Camera(shutter_s=1e-4)
    mean = tuple(w - c for w, c in zip(wind, path.mean_velocity(), strict=True))
    return fill_shells(LAW, VIEW, camera, (0.5, 0.01), mean, ("t",), (path, wind))  # type: ignore[arg-type]


def _second_shell(dust: Dust) -> Dust:
    share = np.zeros_like(dust.share)
    share[1] = dust.share[1]
    return dataclasses.replace(dust, share=share)


def _grain(dust: Dust, time: float, size: tuple[int, int]) -> Array:
    C, P = np.ones(size, np.float32), np.zeros(size, np.float32)
    depth = np.full(size, 65535, np.uint16)
    dust.draw(time, depth, np.ones(len(dust.depth_m), np.float32), C, P)
    return np.asarray(1 - C, np.float64)


def _moved(first: Array, second: Array) -> tuple[int, int]:
    """Return by how much a picture has moved right and down, by correlation."""
    spectrum = np.fft.fft2(second - second.mean()) * np.conj(np.fft.fft2(first - first.mean()))
    peak = np.unravel_index(np.argmax(np.fft.ifft2(spectrum).real), first.shape)
    down, right = (
        int(p) - side if p > side // 2 else int(p)
        for p, side in zip(peak, first.shape, strict=True)
    )
    return right, down


@pytest.mark.parametrize("forward", [0.0, 1.5])
def test_grain_follows_a_pan_like_what_is_far_away(forward: float) -> None:
    """A turn right by 3 degrees and up by 1 moves it left and down; its fall shows without."""
    angles = np.stack([75 * (TIMES - 1), 25 * (TIMES - 1), 0 * TIMES], axis=1)
    places = TIMES[:, None] * np.array([0.0, 0.0, forward])
    pan, straight = (_second_shell(_dust(_path(places, turn * angles))) for turn in (1, 0))
    shifts = [
        _moved(_grain(d, 0.98, (200, 300)), _grain(d, 1.02, (200, 300))) for d in (pan, straight)
    ]
    right, down = np.subtract(*shifts)
    assert right == pytest.approx(-288 * np.radians(3), abs=2)
    assert down == pytest.approx(288 * np.radians(1), abs=2)


def test_grain_of_a_camera_that_speeds_up_and_brakes_keeps_mean_and_spread() -> None:
    forward = 20 * np.sin(TIMES * 2)
    places = np.stack([0 * TIMES, 0 * TIMES, forward], axis=1)
    angles = np.stack([30 * TIMES, 0 * TIMES, 0 * TIMES], axis=1)
    dust = _dust(_path(places, angles))
    frames = np.array([_grain(dust, float(time), (TILE_PX // 2, TILE_PX)) for time in TIMES[::5]])
    means, spreads = frames.mean(axis=(1, 2)), frames.std(axis=(1, 2))
    assert means == pytest.approx(np.full_like(means, means.mean()), rel=0.06)
    assert spreads == pytest.approx(np.full_like(spreads, spreads.mean()), rel=0.2)


def test_fog_keeps_its_place_while_the_camera_turns() -> None:
    """What is seen ahead is seen at the right edge after a turn to the left by that angle."""
    turn = np.degrees(np.arctan((32.5 - 160) / 288))
    angles = np.zeros((len(TIMES), 3))
    angles[1:, 0] = turn
    path = _path(np.zeros((len(TIMES), 3)), angles)
    veil = np.zeros(65536)
    made = drifting_fog(
        Fog(0.02, noise_amplitude=0.8), (0.0, 0.0, 0.0), 288.0, 60.0, veil, ("t",), path
    )
    assert made is not None
    x = (np.arange(0, 337, 8) + 0.5 - 160) / 288

    def seen(time: float, distance: float, column: int) -> float:
        depth = np.full((181, 321), round(65535 * distance / 60), np.uint16)
        return float(made.density(time, depth, (90.5, 160))[11, column])

    ahead, edge = 20, 4  # columns 160.5 and 32.5
    for distance in (8.0, 20.0, 33.0):
        slant = np.hypot(1, x[ahead]) * distance
        before = seen(0.0, distance / np.hypot(1, x[edge]), edge)
        after = seen(1.0, slant, ahead)
        assert after == pytest.approx(before, abs=0.03)
    assert np.ptp([seen(0.0, d, edge) for d in (4.0, 8.0, 20.0, 33.0)]) > 0.1
