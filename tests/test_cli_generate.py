"""Hold the commands generate, verify and preview: one line for bad input, and nothing written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rvsd_bench.files import tree_digest
from rvsd_bench.media.images import read_image, write_png
from rvsd_bench.media.video import write_ffv1

Run = Callable[..., Any]


def _frame(index: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([x * 2 + index, y * 2, 220 - 3 * y], axis=-1).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a folder of three frames."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(3):
        write_png(folder / f"{index}.png", _frame(index))
    return folder


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """Return a recipe with little grain, which is quick."""
    path = tmp_path / "sparse.toml"
    path.write_text("[tiers]\ndust_ratio = 2.0\n")
    return path


@pytest.fixture
def fast(sparse: Path) -> list[str]:
    """Return the options of a quick job."""
    return ["--recipe", str(sparse), "--motion", "static", "--depth", "ground"]


def test_generate_verify_and_preview_go_together(
    run: Run, clip: Path, fast: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    made = run("generate", clip, "--out", out, "--json", "--licence", "CC0", *fast)
    assert made.code == 0
    result = json.loads(made.out)
    assert (result["made"], result["kept"], result["failed"]) == (["test/00000"], [], {})
    assert result["frames"] == 3
    assert result["videos"][0]["source"] == "clip"
    assert "25 frames per second assumed" in made.err
    again = run("generate", clip, "--out", out, "--json", *[*fast, "--licence", "CC0"])
    assert json.loads(again.out)["kept"] == ["test/00000"]
    verified = run("verify", out)
    assert verified.code == 0
    assert "recomputed from clean frames and layers, byte for byte" in verified.out
    assert "differences: none" in verified.out
    look = run("preview", clip, "--out", tmp_path / "look.png", *fast)
    assert look.code == 0
    assert (tmp_path / "look.png").is_file()


def test_verify_says_with_exit_code_4_what_is_wrong(
    run: Run, clip: Path, fast: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    run("generate", clip, "--out", out, *fast)
    (out / "test/snow/00000/0001.png").unlink()
    report = run("verify", out)
    assert report.code == 4
    assert "problem: " in report.out
    assert "0001.png is missing" in report.complaint
    as_json = run("verify", out, "--json")
    assert as_json.code == 4
    assert any("0001.png" in problem for problem in json.loads(as_json.out)["problems"])
    nowhere = run("verify", tmp_path / "nowhere")
    assert (nowhere.code, "is not a dataset" in nowhere.complaint) == (2, True)


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    run: Run, clip: Path, fast: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    told = run("generate", clip, "--out", out, "--variants", "2", "--dry-run", *fast)
    assert told.code == 0
    assert "test/00001  clip  variant 1  3 frames  64x48  25 fps" in told.out
    assert "MB" in told.out
    as_json = json.loads(
        run("generate", clip, "--out", out, "--variants", "2", "--dry-run", "--json", *fast).out
    )
    assert as_json["frames"] == 6
    assert as_json["estimate"]["bytes"] > 1000
    assert as_json["estimate"]["seconds"] > 0
    assert not out.exists()


def _text(path: Path, text: str = "this is no film") -> Path:
    path.write_text(text)
    return path


def _film(path: Path, frames: int = 30) -> Path:
    write_ffv1(path, (_frame(index) for index in range(frames)), 25)
    return path


def _cut_film(path: Path) -> Path:
    whole = _h264(path.with_name("whole.mp4"))
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    whole.unlink()
    return path


def _h264(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(_frame(index), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def _folder(path: Path, spoil: Callable[[Path], object]) -> Path:
    path.mkdir()
    for index in range(3):
        write_png(path / f"{index}.png", _frame(index))
    spoil(path)
    return path


def _truncate(folder: Path) -> None:
    data = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(data[: len(data) // 2])


def _deepen(folder: Path) -> None:
    for file in folder.iterdir():
        write_png(file, _frame(0).astype(np.uint16) * 257)


BAD_CLIPS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing path": (lambda d: d / "nowhere.mp4", "nowhere.mp4"),
    "text called .mp4": (lambda d: _text(d / "text.mp4"), "text.mp4"),
    "empty file": (lambda d: _text(d / "empty.mp4", ""), "empty"),
    "truncated film": (lambda d: _cut_film(d / "cut.mp4"), "cut.mp4"),
    "sound only": (lambda d: _sound(d / "sound.mp4"), "sound.mp4"),
    "corrupt PNG": (lambda d: _folder(d / "torn", _truncate), "1.png"),
    "frames of two sizes": (
        lambda d: _folder(d / "sizes", lambda f: write_png(f / "2.png", _frame(0, (24, 32)))),
        "2.png",
    ),
    "16-bit frames": (lambda d: _folder(d / "deep", _deepen), "0.png"),
    "folder without frames": (
        lambda d: _folder(d / "bare", lambda f: [p.unlink() for p in f.iterdir()]),
        "bare",
    ),
    "frame missing from the middle": (
        lambda d: _folder(d / "gap", lambda f: (f / "1.png").unlink()),
        "frame 1",
    ),
}


@pytest.mark.parametrize("kind", BAD_CLIPS)
def test_a_clip_that_cannot_be_used_ends_with_one_line_and_no_output(
    run: Run, fast: list[str], tmp_path: Path, kind: str
) -> None:
    make, named = BAD_CLIPS[kind]
    source = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    for extra in ([], ["--workers", "2"], ["--dry-run"]):
        ended = run("generate", source, "--out", tmp_path / "set", *fast, *extra)
        if not (kind == "corrupt PNG" and extra == ["--dry-run"]):  # it decodes the first only
            assert (ended.code, named in ended.complaint) == (2, True), ended
    ended = run("preview", source, "--out", tmp_path / "look.png", *fast)
    assert (ended.code, named in ended.complaint) == (2, True), ended
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--preset", "heavvy"], "'heavy'"),
        (["--preset", "heavy", "--recipe", "x.toml"], "--preset and --recipe"),
        (["--recipe", "nowhere.toml"], "nowhere.toml"),
        (["--depth", "constant:-3"], "constant:-3"),
        (["--motion", "."], "motion '.' is a folder"),
        (["--depth", "nowhere.png"], "nowhere.png"),
        (["--motion", "drive:fast"], "drive:fast"),
        (["--split", "train=0.5,test=0.2"], "--split"),
        (["--size", "640"], "--size"),
        (["--shard", "3/2"], "--shard"),
        (["--variants", "0"], "--variants"),
        (["--fps", "-1"], "fps"),
        (["--layers", "png8"], "--layers"),
        (["--container", "mp4"], "--container"),
        (["--wrokers", "2"], "--wrokers"),
    ],
)
def test_an_option_that_makes_no_sense_ends_with_one_line_and_no_output(
    run: Run, clip: Path, tmp_path: Path, words: list[str], named: str
) -> None:
    before = sorted(tmp_path.iterdir())
    ended = run("generate", clip, "--out", tmp_path / "set", *words)
    assert (ended.code, named in ended.complaint) == (2, True), ended
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[snow]\nrate_mm_per_hour = 1.0\n", "snow.rate_mm_per_h"),
        ("[snow]\nrate_mm_per_h = 99.0\n", "[0.05, 15]"),
        ("[snow]\nrate_mm_per_h = '1'\n", "snow.rate_mm_per_h"),
        ("[snow\n", "not valid TOML"),
    ],
)
def test_a_recipe_with_a_fault_is_refused_with_the_key(
    run: Run, clip: Path, tmp_path: Path, text: str, named: str
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    ended = run("generate", clip, "--out", tmp_path / "set", "--recipe", recipe)
    assert (ended.code, named in ended.complaint, "mine.toml" in ended.complaint) == (2, True, True)
    assert not (tmp_path / "set").exists()


def test_an_output_that_is_a_file_or_holds_other_things_is_refused(
    run: Run, clip: Path, fast: list[str], tmp_path: Path
) -> None:
    file = _text(tmp_path / "file")
    ended = run("generate", clip, "--out", file, *fast)
    assert (ended.code, "is a file" in ended.complaint) == (2, True)
    assert file.read_text() == "this is no film"
    ended = run("generate", clip, "--out", clip, *fast)
    assert (ended.code, "not empty" in ended.complaint) == (2, True)


def test_one_bad_clip_among_several_is_named_with_exit_code_5(
    run: Run, clip: Path, fast: list[str], tmp_path: Path
) -> None:
    bad = _text(tmp_path / "bad.mp4")
    torn = _folder(tmp_path / "torn", _truncate)
    ended = run("generate", clip, bad, torn, "--out", tmp_path / "set", "--json", *fast)
    assert ended.code == 5
    assert "bad.mp4" in ended.complaint
    assert "torn" in ended.complaint
    result = json.loads(ended.out)
    assert result["made"] == ["test/00000"]
    assert len(result["failed"]) == 2
    assert run("verify", tmp_path / "set").code == 0


def test_a_video_file_keeps_its_time_stamps(run: Run, fast: list[str], tmp_path: Path) -> None:
    film = _film(tmp_path / "film.mkv", 5)
    assert run("generate", film, "--out", tmp_path / "set", *fast).code == 0
    meta = json.loads((tmp_path / "set/test/meta/00000.json").read_text())
    assert np.allclose(meta["times_s"], np.arange(5) / 25, atol=1e-3)
    assert meta["source"]["name"] == "film.mkv"
    assert np.array_equal(read_image(tmp_path / "set/test/clean/00000/0004.png"), _frame(4))


def test_an_interrupt_ends_with_130_and_the_same_command_goes_on(
    fast: list[str], heeds_interrupts: Callable[[], None], tmp_path: Path
) -> None:
    for number in range(4):
        folder = tmp_path / "clips" / str(number)
        folder.mkdir(parents=True)
        for index in range(20):
            write_png(folder / f"{index}.png", _frame(index + number))
    out = tmp_path / "set"
    words = ["generate", str(tmp_path / "clips"), "--out", str(out), "--workers", "2", *fast]
    command = [sys.executable, "-m", "rvsd_bench", *words]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)
    deadline = time.monotonic() + 60
    while not list(out.glob("test/*/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGINT)
    _, errors = job.communicate(timeout=20)
    assert job.returncode == 130, errors
    assert "the same command resumes" in errors
    assert not list(tmp_path.rglob(".tmp*"))
    subprocess.run(command, check=True, capture_output=True)
    command[command.index(str(out))] = str(tmp_path / "whole")
    subprocess.run(command, check=True, capture_output=True)
    assert tree_digest(out) == tree_digest(tmp_path / "whole")
