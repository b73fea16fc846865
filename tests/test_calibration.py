"""Hold calibration to snow whose numbers are known: our own, before a background that stands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench import cli
from rvsd_bench.calibration import calibrating
from rvsd_bench.calibration.comparing import distance, divergence, misfit
from rvsd_bench.calibration.fitting import fit
from rvsd_bench.calibration.flakes import blobs, jackknife_error, measure, residual
from rvsd_bench.calibration.footage import Footage, look, on_edges
from rvsd_bench.calibration.imitating import imitate, imitation, with_haze
from rvsd_bench.calibration.knobs import Knob, Take, knobs, read_off, turned
from rvsd_bench.calibration.searching import descend, scattered
from rvsd_bench.calibration.trials import Trials
from rvsd_bench.calibration.writing import write_recipe
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Scene, dust, load_recipe, preset, render
from rvsd_bench.media.video import write_ffv1

SIZE = (176, 320)


def _background() -> np.ndarray:
    draw = np.random.Generator(np.random.Philox(3)).random((SIZE[0] // 8, SIZE[1] // 8, 3))
    return np.kron(20 + 30 * draw, np.ones((8, 8, 1))).astype(np.uint8)


def _planted(**parts: dict[str, Any]) -> Scene:
    scene = preset("flurry")
    parts = {"light": {"airlight": (0.35, 0.35, 0.35)}} | parts
    changed = {k: dataclasses.replace(getattr(scene, k), **v) for k, v in parts.items()}
    return dataclasses.replace(scene, **changed)


def _snowing(scene: Scene, frames: int = 14, seed: int = 7) -> ArrayClip:
    clean = ArrayClip(np.repeat(_background()[None], frames, axis=0), fps=25.0)
    shot = render(clean, scene, seed, depth="constant:40", motion="static")
    return ArrayClip(np.stack([f.snowy for f in shot]), fps=25.0, name="snowing")


@pytest.fixture(scope="module", autouse=True)
def small_tiles() -> Iterator[None]:
    """Let the grain repeat soon: most of a trial is the making of its tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dust, "TILE_PX", 128)
        yield


@pytest.fixture(scope="module")
def truth() -> Scene:
    """Return the snowfall that is to be found again."""
    return _planted(snow={"rate_mm_per_h": 1.6}, camera={"shutter_s": 1 / 60, "hfov_deg": 40.0})


@pytest.fixture(scope="module")
def footage(truth: Scene) -> Footage:
    """Return what is measured of it, in runs far enough apart that each shows other flakes."""
    near = look(_snowing(truth))
    far = dataclasses.replace(near, starts=tuple(range(0, 151, 50)))
    runs = imitate(far, Take(truth), 40.0, seed=11)
    return dataclasses.replace(far, statistics=measure(runs, near.threshold))


def test_a_blob_is_measured_as_it_was_drawn() -> None:
    y, x = np.mgrid[:60, :80]
    # An ellipse of half axes 12 and 4, slanted; uniform, so that its moments are a² / 4, b² / 4.
    u, v = 0.8 * (x - 40) + 0.6 * (y - 30), -0.6 * (x - 40) + 0.8 * (y - 30)
    inside = (u / 12) ** 2 + (v / 4) ** 2 <= 1
    levels = np.where(inside, 50, 0).astype(np.int16)
    levels[30, 40] = 60
    levels[2, 2] = 70  # one pixel is no flake
    ((area, peak, elongation),) = blobs(levels, levels >= 8)
    assert area == inside.sum()
    assert peak == 60
    assert elongation == pytest.approx(3.0, rel=0.06)


def test_only_what_is_brighter_than_both_neighbours_in_time_is_left() -> None:
    still = np.full((3, 4, 3), 90, np.uint8)
    flake = still.copy()
    flake[1, 2] = 140
    assert np.flatnonzero(residual(still, flake, still) > 0).tolist() == [6]
    assert residual(still, flake, still)[1, 2] == 50
    # Whatever rises for good, as light does, exceeds the frame before it only.
    assert residual(still, flake, flake)[1, 2] == 50
    assert residual(flake, flake, flake).max() == 0


def test_the_dominant_motion_is_that_of_the_flakes() -> None:
    draw = np.random.Generator(np.random.Philox(5)).random((60, 2))
    frames = []
    for index in range(4):
        frame = np.full((160, 240, 3), 30, np.uint8)
        for row, column in draw:
            y, x = int(130 * row) + 7 * index, int(220 * column) - 3 * index
            frame[y : y + 2, max(x, 0) : x + 2] = 120
        frames.append(frame)
    assert measure([frames], 8).motion_px == pytest.approx([-3, 7], abs=0.3)


def test_a_descent_ends_at_the_lowest_point_of_a_slanted_valley_or_at_its_wall() -> None:
    turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]])
    steep = np.sqrt([1.0, 30.0, 5.0])
    for goal in ([0.3, 0.7, 0.95], [0.3, 0.7, 1.2]):

        def valley(place: np.ndarray, goal: list[float] = goal) -> np.ndarray:
            return steep * (turn @ (place - np.array(goal)))

        found = descend(valley, np.full(3, 0.5), 12)
        assert found.at == pytest.approx(np.minimum(goal, 1), abs=0.01)
    # The residuals are linear, so that the errors are those of linear least squares.
    slopes = steep[:, None] * turn
    assert found.errors() == pytest.approx(np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes))))


def test_scattered_places_take_every_part_of_each_range_once() -> None:
    places = np.stack(list(scattered(3, 10, ("scattered",))))
    assert np.array_equal(np.sort((10 * places).astype(int), axis=0).T, [range(10)] * 3)


def test_the_jackknife_gives_the_error_of_a_mean() -> None:
    values = np.array([1.0, 4.0, 2.0, 8.0])
    without = (values.sum() - values) / 3
    assert jackknife_error(without) == pytest.approx(values.std(ddof=1) / 2)


def test_what_nowhere_stands_out_of_the_noise_is_no_flake() -> None:
    still = np.full((40, 60, 3), 30, np.uint8)
    snow = still.copy()
    snow[5:8, 5:8] += 11  # above the threshold of 8, but not by half
    snow[20:23, 30:33] += 13
    ((area, _, _),) = np.exp(measure([[still, snow, still, still]], 8).features)
    assert area == pytest.approx(9, abs=0.5)


def test_equal_snow_is_nearer_than_any_other(truth: Scene, footage: Footage) -> None:
    def far(scene: Scene) -> tuple[float, float]:
        snow = imitation(footage, Take(scene), 40.0, seed=1)
        parts = misfit(footage.statistics, snow)
        return float(np.mean(parts**2)) ** 0.5, divergence(footage.statistics, snow)

    own = far(truth)
    assert own[0] < 1.5  # in standard errors
    for factor in (0.5, 2.0):
        more = dataclasses.replace(truth.snow, rate_mm_per_h=1.6 * factor)
        longer = dataclasses.replace(truth.camera, shutter_s=factor / 60)
        assert far(dataclasses.replace(truth, snow=more))[0] > 1.5 * own[0]
        another = far(dataclasses.replace(truth, camera=longer))
        assert another[0] > 1.5 * own[0]
        assert another[1] > 1.5 * own[1]


def test_the_distance_of_a_snowfall_from_itself_is_nothing(footage: Footage) -> None:
    itself = distance(footage.statistics, footage.statistics)
    assert (itself.shape, itself.count, itself.cover, itself.motion) == (0, 0, 0, 0)
    assert not misfit(footage.statistics, footage.statistics).any()


def _turns(*paths: str) -> list[Knob]:
    return [knob for knob in knobs(1 / 25) if knob.path in paths]


RATE, SHUTTER, WIND = "snow.rate_mm_per_h", "camera.shutter_s", "wind.velocity_m_per_s"


def test_planted_rate_shutter_and_wind_are_recovered_together(
    truth: Scene, footage: Footage
) -> None:
    base = dataclasses.replace(
        truth,
        snow=dataclasses.replace(truth.snow, rate_mm_per_h=0.3),
        camera=dataclasses.replace(truth.camera, shutter_s=1 / 400),
    )
    turns = _turns(RATE, SHUTTER, WIND)
    found = fit([footage], Take(base), turns, background_m=40.0, trials=60)
    assert 1 / 1.25 < found.scene.snow.rate_mm_per_h / 1.6 < 1.25
    assert 1 / 1.2 < found.scene.camera.shutter_s * 60 < 1.2
    assert read_off(Take(found.scene), WIND) == pytest.approx(read_off(Take(truth), WIND), abs=0.3)
    assert found.after[0].total < 0.2 * found.before[0].total
    assert found.after[0].shape < found.before[0].shape
    assert found.divergence[1] < found.divergence[0]


def test_clips_share_the_rate_and_have_each_their_own_wind(truth: Scene, footage: Footage) -> None:
    other = dataclasses.replace(
        truth, wind=dataclasses.replace(truth.wind, velocity_m_per_s=(-1.5, 0.0, 0.2))
    )
    snow = measure(imitate(footage, Take(other), 40.0, seed=12), footage.threshold)
    both = [footage, dataclasses.replace(footage, statistics=snow)]
    run = Trials(both, Take(truth), _turns(RATE, WIND), 40.0, 0, lambda trial, misfit: None)
    assert run.size == 3
    takes = [run.take(clip, np.array([0.5, 0.2, 0.7])) for clip in range(2)]
    assert takes[0].scene.snow == takes[1].scene.snow
    assert [read_off(take, WIND) for take in takes] == pytest.approx([-3.6, 2.4])


def test_a_scattered_place_is_given_the_rate_at_which_as_many_flakes_are_seen(
    truth: Scene, footage: Footage
) -> None:
    run = Trials([footage], Take(truth), _turns(RATE, WIND), 40.0, 0, lambda trial, misfit: None)
    sparse = run.start()
    sparse[run.columns[0, 0]] = run.turns[0].place(0.6)
    better = run.with_right_count(sparse)
    counts = [run.snow(0, places).per_megapixel for places in (sparse, better)]
    real = footage.statistics.per_megapixel
    assert abs(math.log(counts[1] / real)) < 0.4 * abs(math.log(counts[0] / real))
    assert better[run.columns[0, 1]] == sparse[run.columns[0, 1]]
    assert run.cost(better) < run.cost(sparse)


def test_two_clips_of_one_snowfall_are_fitted_together_each_with_its_own_wind(
    truth: Scene, footage: Footage
) -> None:
    other = dataclasses.replace(
        truth, wind=dataclasses.replace(truth.wind, velocity_m_per_s=(-0.7, 0.0, 0.1))
    )
    snow = imitation(footage, Take(other), 40.0, seed=12)
    both = [footage, dataclasses.replace(footage, statistics=snow)]
    base = dataclasses.replace(truth, snow=dataclasses.replace(truth.snow, rate_mm_per_h=0.8))
    found = fit(both, Take(base), _turns(RATE, WIND), background_m=40.0, trials=30)
    assert found.scene.snow.rate_mm_per_h == pytest.approx(1.6, rel=0.15)
    for after, before in zip(found.after, found.before, strict=True):
        assert after.total < 0.5 * before.total
    # One wind for both would be off by half of the motion.
    assert found.after[1].motion < 0.45 * found.before[1].motion
    # The recipe has one wind: the middle of 0.5 and -0.7.
    assert read_off(Take(found.scene), WIND) == pytest.approx(-0.1, abs=0.35)


def test_a_coder_drops_what_is_faint_and_keeps_what_is_bright(
    truth: Scene, footage: Footage
) -> None:
    plain = imitate(footage, Take(truth), 40.0)
    counts, bright = [], []
    for crf in (0.0, 10.0, 24.0, 34.0):
        runs = imitate(footage, Take(truth, crf), 40.0)
        assert [len(run) for run in runs] == [len(run) for run in plain]
        peaks = np.exp(measure(runs, footage.threshold).features[:, 1])
        counts.append(len(peaks))
        bright.append(np.count_nonzero(peaks > 60))
        off = np.abs(np.array(runs[2], np.int16)[..., 1] - np.array(plain[2])[..., 1])
        assert off.mean() < 0.15 * crf + 1e-9  # and each frame is still in its place
    assert counts == sorted(counts, reverse=True)
    assert counts[3] / counts[0] < 0.5 * bright[3] / bright[0]


def test_slow_motion_makes_frames_shorter(
    tmp_path: Path, truth: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ffv1(tmp_path / "snow.mkv", _snowing(truth), 25.0)

    def seen(footage: list[Footage], take: Take, turns: list[Knob], **rest: Any) -> None:
        longest = {knob.path: knob.high for knob in turns}["camera.shutter_s"]
        raise InputError(f"{footage[0].fps:g} {longest:g} {take.scene.camera.hfov_deg:g}")

    monkeypatch.setattr(calibrating, "fit", seen)
    with pytest.raises(InputError, match=r"^50 0\.02 20$"):
        calibrating.calibrate(
            [tmp_path / "snow.mkv"],
            tmp_path / "recipe.toml",
            base="light",
            scene=preset("light"),
            background_m=40.0,
            trials=1,
            hfov_deg=20.0,
            slowed=2.0,
        )


def test_planted_haze_is_told_by_the_darkest_things() -> None:
    hazy = _planted(fog={"extinction_per_m": 0.01}, snow={"rate_mm_per_h": 1.6})
    veil = look(_snowing(hazy)).veil
    found = with_haze(hazy, veil, 40.0).fog.extinction_per_m
    assert found == pytest.approx(0.01, rel=0.2)


def test_a_moving_camera_is_refused_and_told_by_the_edges_of_the_scene() -> None:
    draw = np.random.Generator(np.random.Philox(9)).random((40, 60, 3))
    scene = np.kron(40 + 150 * draw, np.ones((8, 8, 1))).astype(np.uint8)
    moving = np.stack([scene[i : i + 120, 2 * i : 2 * i + 200] for i in range(20)])
    with pytest.raises(InputError, match="its camera or its scene moves"):
        look(ArrayClip(moving, name="ride"))


def test_falling_snow_does_not_lie_on_the_edges_of_the_scene(truth: Scene) -> None:
    clip = _snowing(truth, frames=4)
    assert abs(on_edges([list(clip)], 8)) < 0.1


def test_too_little_snow_and_too_short_a_clip_are_refused() -> None:
    still = np.repeat(_background()[None], 12, axis=0)
    with pytest.raises(InputError, match="shows 0 flakes in 12 frames"):
        look(ArrayClip(still, name="clear"))
    with pytest.raises(InputError, match="has 11 frames"):
        look(ArrayClip(still[:11], name="short"))


def test_a_place_and_its_number_are_each_other_s_inverse() -> None:
    for knob in (Knob("snow.rate_mm_per_h", 0.05, 6.0), Knob("wind.velocity_m_per_s", -6, 6)):
        assert [knob.value(0.0), knob.value(1.0)] == pytest.approx([knob.low, knob.high])
        assert knob.place(knob.value(0.37)) == pytest.approx(0.37)
    stop = Knob("camera.f_number", 1.4, 22.0, usual=5.6, spread=math.log(2))
    assert stop.surprise(stop.place(11.2)) == pytest.approx(1.0)


def test_no_exposure_is_longer_than_a_frame_and_a_known_field_of_view_is_not_fitted() -> None:
    turns = {knob.path: knob for knob in knobs(1 / 25, hfov_deg=40.0)}
    assert turns["camera.shutter_s"].value(1.0) == pytest.approx(1 / 25)
    assert "camera.hfov_deg" not in turns
    assert "camera.hfov_deg" in {knob.path for knob in knobs(1 / 25)}


def test_a_field_of_view_is_that_of_the_picture_not_of_the_window(footage: Footage) -> None:
    wide = dataclasses.replace(footage, width=2 * footage.width)
    scene = preset("light")
    runs = imitate(wide, Take(scene), 40.0)
    half = math.radians(scene.camera.hfov_deg) / 2
    cropped = math.degrees(2 * math.atan(math.tan(half) / 2))
    narrow = dataclasses.replace(scene.camera, hfov_deg=cropped)
    again = imitate(footage, Take(dataclasses.replace(scene, camera=narrow)), 40.0)
    assert np.array_equal(runs[0][1], again[0][1])


def test_a_written_recipe_is_the_fitted_scene_and_names_no_folder(
    tmp_path: Path, footage: Footage
) -> None:
    turns = _turns("snow.melted_min_mm", "camera.f_number", WIND)
    base = turned(Take(preset("light")), turns, np.linspace(0.3, 0.6, len(turns)))
    found = fit([footage], base, turns, background_m=40.0, trials=1)
    path = tmp_path / "recipe.toml"
    write_recipe(path, found, [footage], ["ab" * 32], "light")
    drawn = load_recipe(path).draw(0)
    for table in ("snow", "wind", "fog", "camera", "light"):
        ours = dataclasses.asdict(getattr(found.scene, table))
        theirs = dataclasses.asdict(getattr(drawn, table))
        for name, value in ours.items():
            same = value if value is None or isinstance(value, str) else pytest.approx(value, 1e-3)
            assert theirs[name] == same, name
    text = path.read_text()
    assert "sha256 abab" in text
    assert str(tmp_path) not in text


def test_the_command_writes_what_generate_reads_and_refuses_what_is_no_recipe(
    tmp_path: Path,
    truth: Scene,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_ffv1(tmp_path / "snow.mkv", _snowing(truth), 25.0)

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["rvsd-bench", "calibrate", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return int(left.value.code or 0)

    source, out = str(tmp_path / "snow.mkv"), tmp_path / "recipe.toml"
    assert run(source, "--out", str(out), "--trials", "2", "--crf", "0", "--json") == 0
    said = capsys.readouterr()
    assert "distance before" in said.err and "distance after" in said.err
    assert '"after"' in said.out
    load_recipe(out)
    assert run(source, "--out", str(tmp_path / "recipe.txt")) == 2
    assert "a recipe is a .toml file" in capsys.readouterr().err
