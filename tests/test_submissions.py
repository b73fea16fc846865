"""Submissions broken on purpose, in folders and zips, checked with the clean frames or without."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.evaluating import evaluate
from rvsd_bench.evaluation.submissions import Report, check
from rvsd_bench.media.images import read_image, write_jpeg, write_png
from rvsd_bench.media.video_writing import write_ffv1

FRAMES, HEIGHT, WIDTH = 8, 72, 96


def scene(seed: int) -> list[Frame]:
    """Return frames of a coloured texture that a camera passes, four pixels a frame."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(0, 1, (HEIGHT, WIDTH + 4 * FRAMES, 3))
    wide = cv2.GaussianBlur(wide, (0, 0), 1.5)
    wide = np.clip(120 + 45 * wide / wide.std(), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, 4 * t : 4 * t + WIDTH]) for t in range(FRAMES)]


def snowed(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return a frame behind haze and a few hundred flakes."""
    hazy = 0.7 * frame + 0.3 * 220
    flakes = (rng.random((HEIGHT, WIDTH, 1)) < 0.05) * 80.0
    return np.clip(hazy + flakes, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a paired dataset of two videos and a good submission: the truth with some grain."""
    root, rng = tmp_path_factory.mktemp("whole"), np.random.default_rng(5)
    for seed in range(2):
        for index, clean in enumerate(scene(seed)):
            grain = clean + rng.normal(0, 4, clean.shape)
            mine = np.clip(grain, 0, 255).astype(np.uint8)
            sides = {"data/test/clean": clean, "data/test/snow": snowed(clean, rng), "mine": mine}
            for side, frame in sides.items():
                (root / side / f"{seed:05d}").mkdir(parents=True, exist_ok=True)
                write_png(root / side / f"{seed:05d}" / f"{index:04d}.png", frame)
    return root


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole / "data", tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def mine(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole / "mine", tmp_path / "mine")
    return tmp_path / "mine"


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


def codes(report: Report) -> set[tuple[str, str, str]]:
    return {(problem.level, problem.code, problem.video) for problem in report.problems}


def alter(folder: Path, change: Callable[[Frame], Frame]) -> None:
    for path in sorted(folder.glob("*.png")):
        write_png(path, np.ascontiguousarray(change(read_image(path))))


def shift(folder: Path, by: int) -> None:
    names = sorted(path.name for path in folder.iterdir())
    frames = [read_image(folder / name) for name in names]
    for index, name in enumerate(names):
        write_png(folder / name, frames[min(max(index + by, 0), len(names) - 1)])


def copy_side(side: str) -> Callable[[Path, Path], None]:
    def spoil(folder: Path, data: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(data / "test" / side / folder.name, folder)

    return spoil


def freeze(folder: Path, _: Path) -> None:
    shutil.copy(folder / "0003.png", folder / "0004.png")


def cut(folder: Path, _: Path) -> None:
    path = folder / "0002.png"
    path.write_bytes(path.read_bytes()[:-40])


def lossy(folder: Path, _: Path) -> None:
    write_jpeg(folder / "0002.jpg", read_image(folder / "0002.png"))
    (folder / "0002.png").unlink()


def link(folder: Path, data: Path) -> None:
    (folder / "0001.png").unlink()
    (folder / "0001.png").symlink_to(data / "test" / "clean" / folder.name / "0001.png")


def link_folder(folder: Path, data: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(data / "test" / "snow" / folder.name)


def grey(folder: Path, _: Path) -> None:
    (folder / "0001.png").write_bytes(
        cv2.imencode(".png", read_image(folder / "0001.png")[..., 0])[1].tobytes()
    )


SPOILED: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
    "missing": (lambda f, d: (f / "0003.png").unlink(), "error", "missing"),
    "extra": (lambda f, d: shutil.copy(f / "0001.png", f / "0099.png"), "error", "extra"),
    "twice": (lambda f, d: shutil.copy(f / "0001.png", f / "1.png"), "error", "duplicate"),
    "size": (lambda f, d: write_png(f / "0001.png", scene(0)[0][:-2]), "error", "size"),
    "mode": (grey, "error", "mode"),
    "empty": (lambda f, d: (f / "0001.png").write_bytes(b""), "error", "unreadable"),
    "text": (lambda f, d: (f / "0001.png").write_text("hello"), "error", "unreadable"),
    "corrupt": (cut, "error", "unreadable"),
    "link": (link, "error", "unreadable"),
    "folder is a link": (link_folder, "error", "link"),
    "video absent": (lambda f, d: shutil.rmtree(f), "error", "absent"),
    "late": (lambda f, d: shift(f, 1), "error", "shifted"),
    "early": (lambda f, d: shift(f, -1), "error", "shifted"),
    "three late": (lambda f, d: shift(f, 3), "error", "shifted"),
    "swapped": (lambda f, d: alter(f, lambda x: x[..., ::-1]), "error", "swapped"),
    "the input": (copy_side("snow"), "warning", "is_input"),
    "the truth": (copy_side("clean"), "error", "is_truth"),
    "frozen": (freeze, "warning", "frozen"),
    "lossy": (lossy, "warning", "lossy"),
}  # fmt: skip


@pytest.mark.parametrize("truth", [True, False], ids=["with truth", "snowy alone"])
def test_a_good_submission_has_no_problems(mine: Path, data: Path, truth: bool) -> None:
    if not truth:
        shutil.rmtree(data / "test" / "clean")
    for handed_in in (mine, zipped(mine)):
        report = check(handed_in, data)
        assert report.problems == ()
        assert (report.videos, report.frames, report.dataset) == (2, 2 * FRAMES, "data")
        assert bool(report.skipped) is not truth


@pytest.mark.parametrize("truth", [True, False], ids=["with truth", "snowy alone"])
@pytest.mark.parametrize("spoilt", SPOILED)
def test_each_fault_is_found_in_its_video_and_in_no_other(
    mine: Path, data: Path, spoilt: str, truth: bool
) -> None:
    spoil, level, code = SPOILED[spoilt]
    spoil(mine / "00001", data)
    if not truth:
        shutil.rmtree(data / "test" / "clean")
    found = codes(check(mine, data))
    if code == "is_truth" and not truth:
        assert found == set()
        assert any("clean ones" in what for what in check(mine, data).skipped)
        return
    assert (level, code, "00001") in found
    assert {video for _, _, video in found} == {"00001"}
    assert {c for _, c, _ in found} <= {code, "missing", "frozen", "order"}


def test_all_faults_stand_in_one_report_with_lines_that_nothing_breaks(
    mine: Path, data: Path
) -> None:
    (mine / "00001" / "0007.png").write_bytes((mine / "00001" / "0007.png").read_bytes()[:-40])
    for spoilt in ("extra", "size", "lossy", "frozen", "missing"):
        SPOILED[spoilt][0](mine / "00001", data)
    SPOILED["swapped"][0](mine / "00000", data)
    (mine / "evil\n\x1b[2J\u202e").mkdir()
    report = check(mine, data)
    wanted = {"missing", "extra", "size", "unreadable", "lossy", "swapped", "stranger"}
    assert wanted <= {problem.code for problem in report.problems}
    lines = list(report.lines())
    assert all(line.isprintable() for line in lines)
    assert lines[0] == "mine for data/test: 2 videos, 16 frames"
    assert lines[-1] == f"{len(report.errors)} errors, {len(report.problems) - 5} warnings"
    assert "evil\\n\\x1b[2J\\u202e" in "\n".join(lines)
    found = json.loads(json.dumps(report.as_json()))
    assert found["ok"] is False and len(found["problems"]) == len(report.problems)
    assert not any(str(mine.parent) in problem["message"] for problem in found["problems"])


def test_the_report_is_the_same_for_two_workers(mine: Path, data: Path) -> None:
    SPOILED["corrupt"][0](mine / "00001", data)
    SPOILED["late"][0](mine / "00000", data)
    assert check(mine, data, workers=2) == check(mine, data)


def test_shifts_of_the_dataset_itself_are_not_the_submissions(mine: Path, data: Path) -> None:
    shift(data / "test" / "snow" / "00000", 1)
    shift(mine / "00000", 1)
    assert {code for level, code, _ in codes(check(mine, data)) if level == "error"} == set()


def test_a_damaged_frame_of_the_dataset_is_said_to_be_skipped(mine: Path, data: Path) -> None:
    SPOILED["corrupt"][0](data / "test" / "snow" / "00000", data)
    report = check(mine, data)
    assert report.problems == ()
    assert any("0002" in what and "damaged" in what for what in report.skipped)


def test_a_video_file_is_looked_into_as_well(mine: Path, data: Path) -> None:
    frames = [read_image(path) for path in sorted((mine / "00000").iterdir())]
    shutil.rmtree(mine / "00000")
    write_ffv1(mine / "00000.mkv", frames, 25.0)
    assert check(mine, data).problems == ()
    write_ffv1(mine / "00000.mkv", [frame[..., ::-1] for frame in frames], 25.0)
    assert codes(check(mine, data)) == {("error", "swapped", "00000")}
    write_ffv1(mine / "00000.mkv", frames[1:], 25.0)
    assert codes(check(mine, data)) == {("error", "length", "00000")}


def test_snowy_frames_in_a_folder_of_their_own_are_enough(mine: Path, data: Path) -> None:
    SPOILED["missing"][0](mine / "00001", data)
    assert codes(check(mine, data / "test" / "snow")) == {("error", "missing", "00001")}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: None, "no such folder or zip"),
        (lambda p: p.write_text("x"), "neither a folder nor a .zip"),
        (lambda p: p.mkdir(), ""),
    ],
)
def test_what_is_no_submission_is_told_in_one_line(
    tmp_path: Path, data: Path, make: Callable[[Path], object], text: str
) -> None:
    make(tmp_path / "it")
    if text:
        with pytest.raises(InputError, match=text):
            check(tmp_path / "it", data)
        return
    (problem,) = check(tmp_path / "it", data).problems
    assert problem.code == "frames" and "no restored clips" in problem.message


def values(run: Path, method: str) -> list[tuple[str, str, str]]:
    from rvsd_bench.columns import read_csv

    rows = read_csv(run / "per_frame.csv")
    return [(r["video"], r["frame_id"], r["value"]) for r in rows if method in r["method_id"]]


def test_a_zip_is_scored_as_its_folder_and_resumes_frame_by_frame(
    mine: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvsd_bench.metrics import fidelity

    path = zipped(mine)
    evaluate([f"a=frames:{mine}"], data, out=tmp_path / "folder", metrics=["psnr"])
    first = evaluate([f"a=frames:{path}"], data, out=tmp_path / "zip", metrics=["psnr"])
    assert values(tmp_path / "zip", "a") == values(tmp_path / "folder", "a")
    assert first.scored == 2
    assert evaluate([f"a={path}"], data, out=tmp_path / "zip", metrics=["psnr"]).scored == 0
    write_png(mine / "00001" / "0003.png", read_image(mine / "00001" / "0004.png"))
    zipped(mine)
    scored: list[object] = []
    real = fidelity.Psnr.score
    monkeypatch.setattr(fidelity.Psnr, "score", lambda *a: scored.append(a) or real(*a))
    again = evaluate([f"a=frames:{path}"], data, out=tmp_path / "zip", metrics=["psnr"])
    assert again.scored == 1  # one video was opened again
    assert len(scored) == 1  # and one frame of it scored
    before, after = values(tmp_path / "folder", "a"), values(tmp_path / "zip", "a")
    changed = [one[:2] for one, other in zip(before, after) if one != other]
    assert changed == [("00001", "0003")]


def test_the_zip_of_a_run_is_unpacked_once_and_an_older_one_removed(
    mine: Path, data: Path, tmp_path: Path
) -> None:
    path, run = zipped(mine), tmp_path / "run"

    def score() -> list[Path]:
        evaluate([f"a=frames:{path}"], data, out=run, metrics=["psnr"])
        assert not [p for p in run.glob("*.*") if str(run) in p.read_text()]
        return sorted((run / "unpacked").rglob("0003.png"))

    first = score()
    inodes = [p.stat().st_ino for p in first]
    assert [p.stat().st_ino for p in score()] == inodes
    write_png(mine / "00001" / "0003.png", read_image(mine / "00001" / "0004.png"))
    zipped(mine)
    again = score()
    assert len(again) == len(first) == 2 and not first[0].exists()
    evaluate([f"a=frames:{path}"], data, out=tmp_path / "dry", metrics=["psnr"], dry_run=True)
    assert not (tmp_path / "dry").exists()


def test_a_zip_is_not_unpacked_among_other_peoples_files(
    mine: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(InputError, match="holds other files"):
        evaluate([f"frames:{zipped(mine)}"], data, out=tmp_path / "home", metrics=["psnr"])
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["letter"]


def test_one_bad_frame_withholds_the_headline_and_leaves_its_video_incomplete(
    mine: Path, data: Path, tmp_path: Path
) -> None:
    SPOILED["corrupt"][0](mine / "00001", data)
    found = evaluate(
        ["identity", f"frames:{zipped(mine)}"], data, out=tmp_path / "run", metrics=["psnr"]
    )
    row = found.summary.set_index("method_name").loc["frames:mine.zip"]
    assert not row.valid and np.isnan(row.psnr)
    videos = found.per_video.set_index(["method_id", "video"])["status"]
    assert list(videos[row.method_id]) == ["ok", "incomplete"]
    report = json.loads((tmp_path / "run" / "validation.json").read_text())
    assert [p["video"] for p in report["problems"] if p["level"] == "error"] == ["00001"]
    for path in (tmp_path / "run").glob("*.*"):
        assert "/rvsd-bench-" not in path.read_text()  # the private folder is nobody's business


def test_the_report_of_an_evaluation_names_what_only_the_frames_tell_as_well(
    mine: Path, data: Path, tmp_path: Path
) -> None:
    SPOILED["missing"][0](mine / "00001", data)
    SPOILED["swapped"][0](mine / "00000", data)
    with pytest.raises(InputError, match=r"no headline.*0003.*red and blue look swapped"):
        evaluate([f"frames:{mine}"], data, out=tmp_path / "run", metrics=["psnr"])
    report = json.loads((tmp_path / "run" / "validation.json").read_text())
    found = {(p["code"], p["video"], p["method"]) for p in report["problems"]}
    assert found == {("missing", "00001", "frames:mine"), ("swapped", "00000", "frames:mine")}


def test_an_evil_archive_stops_an_evaluation_before_any_work(data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.png", b"x")
    for act in (
        lambda: evaluate([f"frames:{tmp_path / 'evil.zip'}"], data, out=tmp_path / "run"),
        lambda: check(tmp_path / "evil.zip", data),
    ):
        with pytest.raises(InputError, match="leaves its folder"):
            act()
    assert not (tmp_path / "run").exists()
