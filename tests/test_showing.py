"""Which frames of a run are shown, that the pictures are of these, and when they are drawn anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.errors import ModelError
from rvsd_bench.evaluation import drawing, showing
from rvsd_bench.evaluation.drawing import ERROR_LEVELS, error_map, sheet
from rvsd_bench.evaluation.evaluating import Evaluation, evaluate
from rvsd_bench.evaluation.runfiles import FrameScores, Part
from rvsd_bench.evaluation.showing import extremes, pictured, show
from rvsd_bench.evaluation.tabulating import Gathered
from rvsd_bench.isolation.confined import ConfinedClip
from rvsd_bench.media.images import read_image, write_png

SNOW = {"00000": (30, 5, 20, 10, 25), "00001": (8, 8)}
"""Levels that the snow adds to each frame, which is grey."""
GREY = 60


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for video, levels in SNOW.items():
        for index, level in enumerate(levels):
            for side, value in (("clean", GREY), ("snow", GREY + level)):
                path = tmp_path / "data" / "test" / side / video / f"f{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, np.full((24, 48, 3), value, np.uint8))
    return tmp_path / "data"


def _shown(data: Path, run: Path, *models: str, **more: Any) -> tuple[Evaluation, list[str]]:
    found = evaluate(models, data, out=run, metrics=["psnr"])
    said: list[str] = []
    show(Gathered(found.plan, run, found.results, {}), report=said.append, **more)
    return found, said


def _index(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "pictures" / "shown.json").read_text())["videos"])


def _level(path: Path) -> float:
    return float(read_image(path).mean())


def _part(*values: float | None) -> Part:
    rows = (FrameScores(f"f{i}", values={"psnr": v, "lpips": v}) for i, v in enumerate(values))
    return Part({}, {}, tuple(rows), {})


def test_the_extremes_are_the_first_of_equals_and_the_worse_of_two_middles() -> None:
    four = _part(20.0, None, 30.0, 25.0, 10.0)
    assert extremes(four, "psnr") == {"worst": 4, "median": 0, "best": 2}
    assert extremes(four, "lpips") == {"worst": 2, "median": 3, "best": 4}
    assert extremes(_part(7.0, 7.0, 7.0), "psnr") == {"worst": 0, "median": 1, "best": 0}
    assert extremes(_part(None, None), "psnr") == {}


def test_errors_grow_lighter_on_one_scale_and_the_truth_is_black() -> None:
    truth = np.full((4, 4, 3), 100, np.uint8)
    lightness = []
    for error in range(ERROR_LEVELS + 1):
        drawn = error_map(truth + np.uint8(error), truth)
        assert np.array_equal(drawn, error_map(truth - np.uint8(error), truth))
        lightness.append(int(cv2.cvtColor(drawn, cv2.COLOR_RGB2LAB)[0, 0, 0]))
    assert lightness == sorted(lightness) and len(set(lightness)) > ERROR_LEVELS * 0.9
    assert tuple(error_map(truth, truth)[0, 0]) == (0, 0, 4)  # inferno's first colour
    assert lightness[-1] > 240
    beyond = error_map(truth + np.uint8(2 * ERROR_LEVELS), truth)
    assert np.array_equal(beyond, error_map(truth + np.uint8(ERROR_LEVELS), truth))


def test_a_smaller_map_averages_errors_over_channels_and_pixels() -> None:
    truth = np.full((8, 8, 3), 100, np.uint8)
    restored = truth.copy()
    restored[:, ::2, 0] += 96  # a third of the channels, half of the pixels: 16 in the mean
    even = error_map(truth + np.uint8(16), truth, side=4)
    assert np.array_equal(error_map(restored, truth, side=4), even) and even.shape == (4, 4, 3)


def test_a_sheet_holds_the_frames_row_by_row() -> None:
    frames = [np.full((2, 3, 3), 10 * i, np.uint8) for i in range(6)]
    expected = [[0, 10, 20, 30], [40, 50, 0, 0]]
    assert np.array_equal(sheet(frames)[::2, ::3, 0], expected)


def test_other_source_clips_are_shown_before_more_of_the_same(monkeypatch: Any) -> None:
    plan: Any = SimpleNamespace(videos=("a1", "a2", "a3", "b1", "b2", "c1"), source=lambda v: v[0])
    monkeypatch.setattr(showing, "PICTURED", 4)
    assert pictured(plan) == ["a1", "b1", "c1", "a2"]


def test_the_worst_median_and_best_frame_of_each_method_are_drawn(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (tmp_path / "mine" / "00000").mkdir(parents=True)
    (tmp_path / "mine" / "00001").mkdir()
    for video, levels in {"00000": (2, 1, 6, 7, 9), "00001": (3, 4)}.items():
        for index, level in enumerate(levels):
            frame = np.full((24, 48, 3), GREY + level, np.uint8)
            write_png(tmp_path / "mine" / video / f"f{index}.png", frame)
    _, said = _shown(data, run, "identity", f"mine=frames:{tmp_path / 'mine'}")
    assert said == []
    videos = _index(run)
    picks = {
        slug: {name: (one["frame"], one["index"]) for name, one in found.items()}
        for slug, found in videos["00000"]["picks"].items()
    }
    assert picks == {
        "identity": {"worst": ("f0", 0), "median": ("f2", 2), "best": ("f1", 1)},
        "mine": {"worst": ("f4", 4), "median": ("f2", 2), "best": ("f1", 1)},
    }
    own = run / "pictures" / "00000"
    drawn = {path.relative_to(own).as_posix() for path in own.rglob("*.*")}
    assert drawn == set(videos["00000"]["files"])
    sides = {f"{f}/{of}.jpg" for f in ("f0", "f1", "f2", "f4") for of in ("input", "truth")}
    mine = {f"{f}/{of}" for f in ("f1", "f2", "f4") for of in ("mine.jpg", "errors/mine.webp")}
    maps = ("identity.jpg", "errors/identity.webp")
    identity = {f"{f}/{of}" for f in ("f0", "f1", "f2") for of in maps}
    loops = {f"loop/{of}.webp" for of in ("input", "truth", "identity", "mine")}
    assert drawn == sides | mine | identity | loops  # f2, the middle, is of both in any case
    assert _level(own / "f4" / "mine.jpg") == pytest.approx(GREY + 9, abs=1)
    assert _level(own / "f4" / "input.jpg") == pytest.approx(GREY + 25, abs=1)
    expected = error_map(np.full((1, 1, 3), 9, np.uint8), np.zeros((1, 1, 3), np.uint8)).mean()
    drawn_map = np.fromfile(own / "f4" / "errors" / "mine.webp", np.uint8)
    assert cv2.imdecode(drawn_map, cv2.IMREAD_COLOR).mean() == pytest.approx(expected, abs=2)
    moving = cv2.imdecode(np.fromfile(own / "loop" / "mine.webp", np.uint8), cv2.IMREAD_COLOR)
    found = moving[12::24, 24::48].mean(axis=2) - GREY
    assert np.allclose(found[0], (2, 1, 6, 7), atol=1.6) and abs(found[1, 0] - 9) < 1.6
    assert videos["00000"]["loop"] == {"frames": 5, "columns": 4}


def test_only_what_is_new_or_has_changed_is_drawn_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    _shown(data, run, "identity", "median")
    before = {path: path.stat().st_mtime_ns for path in (run / "pictures").rglob("*.*")}
    found, _ = _shown(data, run, "identity", "median")
    drawn: list[str] = []
    real = showing.draw
    monkeypatch.setattr(
        showing,
        "draw",
        lambda d: (drawn.extend(f"{d.folder.name}/{w.name}" for w in d.wanted), real(d))[1],
    )
    _shown(data, run, "identity", "median")
    assert drawn == []
    pictures = {p: t for p, t in before.items() if p.suffix != ".json"}
    assert all(path.stat().st_mtime_ns == at for path, at in pictures.items())
    write_png(data / "test" / "snow" / "00001" / "f1.png", np.full((24, 48, 3), GREY + 3, np.uint8))
    _shown(data, run, "identity", "median")
    assert drawn and all(name.startswith("00001/") for name in drawn)
    fewer = tuple(result for result in found.results if result.method.slug == "identity")
    plan = replace(found.plan, methods=(fewer[0].method,))
    show(Gathered(plan, run, fewer, {}))
    assert not list((run / "pictures").rglob("median.*"))


def test_frames_that_are_not_the_scored_ones_are_left_out_and_told(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    found = evaluate(["identity"], data, out=run, metrics=["psnr"])
    shutil.rmtree(run / "pictures", ignore_errors=True)
    write_png(data / "test" / "snow" / "00000" / "f0.png", np.full((24, 48, 3), 9, np.uint8))
    said: list[str] = []
    show(Gathered(found.plan, run, found.results, {}), report=said.append)
    assert len(said) == 2 and all("f0 is not the one that was scored" in line for line in said)
    files = _index(run)["00000"]["files"]
    assert "f0/truth.jpg" in files and "f1/input.jpg" in files
    assert not [name for name in files if name in ("f0/input.jpg", "f0/errors/identity.webp")]
    assert "loop/input.webp" not in files


def _pictures(run: Path) -> dict[str, bytes]:
    root = run / "pictures"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.*")}


def _confine(monkeypatch: pytest.MonkeyPatch, *, fails_at: int | None = None) -> list[str]:
    """Let identity be a model that gives frames in order alone; return where it was begun."""
    begun: list[str] = []

    class InTurn(ConfinedClip):
        def __getitem__(self, index: int) -> Frame:
            raise AssertionError("restores all that lies before a frame")

        def __iter__(self) -> Iterator[Frame]:
            begun.append(self.name)
            for index, frame in enumerate(self.source):
                if index == fails_at:
                    raise ModelError("too much", "oom")
                yield frame

    def confined(method: Any, video: Any, snowy: Any, clean: Any) -> InTurn:
        return InTurn(snowy, SimpleNamespace(), lambda: snowy)  # type: ignore[arg-type]

    monkeypatch.setattr(drawing, "restored", confined)
    return begun


def test_a_confined_model_goes_through_a_video_once_for_all_its_pictures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, level in ((0, 12), (4, 30)):  # now nobody asks for f3
        path = data / "test" / "snow" / "00000" / f"f{index}.png"
        write_png(path, np.full((24, 48, 3), GREY + level, np.uint8))
    _shown(data, tmp_path / "plain", "identity")
    begun = _confine(monkeypatch)
    monkeypatch.setattr(showing, "LOOP_FRAMES", 2)  # the others are reached by passing frames over
    _, said = _shown(data, tmp_path / "confined", "identity")
    assert said == [] and sorted(begun) == ["00000", "00001"]
    plain, confined = _pictures(tmp_path / "plain"), _pictures(tmp_path / "confined")
    stills = {name for name in plain if name.endswith(("identity.jpg", "errors/identity.webp"))}
    assert len(stills) > 8 and all(confined[name] == plain[name] for name in stills)


def test_what_a_confined_model_gave_before_it_failed_is_drawn(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    shutil.rmtree(tmp_path / "run" / "pictures")
    begun = _confine(monkeypatch, fails_at=2)
    said: list[str] = []
    show(Gathered(found.plan, tmp_path / "run", found.results, {}), report=said.append)
    assert said == ["no picture: video 00000: identity: stopped at frame 2: oom: too much"]
    files = _index(tmp_path / "run")["00000"]["files"]
    assert {"f0/identity.jpg", "f1/identity.jpg"} < set(files) and "f2/identity.jpg" not in files
    assert sorted(begun) == ["00000", "00001"]


def test_many_pictures_that_cannot_be_are_told_in_one_line(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = evaluate(["identity"], data, out=run, metrics=["psnr"])
    shutil.rmtree(run / "pictures")
    for index in range(3):
        path = data / "test" / "snow" / "00000" / f"f{index}.png"
        write_png(path, np.full((24, 48, 3), 9, np.uint8))
    said: list[str] = []
    show(Gathered(found.plan, run, found.results, {}), report=said.append)
    assert [line.partition("; ")[2] for line in said] == ["and 2 others like it"] * 2


def test_a_frame_that_cannot_be_read_leaves_the_others_drawn(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = evaluate(["identity"], data, out=run, metrics=["psnr"])
    shutil.rmtree(run / "pictures")
    truth = data / "test" / "clean" / "00000" / "f0.png"
    truth.write_bytes(truth.read_bytes()[:-24])  # its header still says how large it is
    said: list[str] = []
    show(Gathered(found.plan, run, found.results, {}), report=said.append)
    assert said and all("f0.png" in line for line in said)
    files = _index(run)["00000"]["files"]
    assert {"f0/input.jpg", "f0/identity.jpg", "f1/truth.jpg", "f2/truth.jpg"} < set(files)
    assert "loop/identity.webp" in files
    assert not {"f0/truth.jpg", "f0/errors/identity.webp", "loop/truth.webp"} & set(files)
