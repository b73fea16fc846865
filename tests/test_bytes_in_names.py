"""Names of bytes that are no UTF-8, which no table can hold, end a job before it begins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.baselines.frames import open_submission
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.spec import parse
from rvsd_bench.cli import COMMANDS, cli
from rvsd_bench.columns import read_csv
from rvsd_bench.data.dataset import load
from rvsd_bench.errors import InputError, PartialError
from rvsd_bench.evaluation.evaluating import evaluate
from rvsd_bench.files import digest_source, tree_digest
from rvsd_bench.making.generating import generate
from rvsd_bench.media.images import write_png
from rvsd_bench.media.reading import find_clips
from rvsd_bench.texts import read_json

BYTES = "\udcff"
"""What Python makes of the byte 0xFF in an argument, or in a folder's listing."""
REFUSED = "no text in UTF-8: rename it"


def write_frames(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for name in names or ("0000", "0001"):
        write_png(folder / f"{name}.png", draw.integers(0, 255, (16, 24, 3), np.uint8))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for side in ("snow", "clean"):
        write_frames(tmp_path / "data" / "test" / side / "00000")
    return tmp_path / "data"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_takes_an_argument_of_other_bytes(command: str) -> None:
    with pytest.raises(InputError, match=REFUSED) as caught:
        cli.main([command, "--out", f"a{BYTES}"], standalone_mode=False)
    assert str(caught.value).isprintable()


def test_a_shell_sees_one_line_and_the_exit_code_of_bad_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rvsd_bench", "restore", b"py:\xff.py:f", "clip", "--out", "o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, env=os.environ)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        "rvsd-bench: argument 'py:\\udcff.py:f' is no text in UTF-8: rename it\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["identity\udcff", "a\udcff=identity", "py:\udcff.py:f", "\ud83d"])
def test_a_spec_of_other_bytes_names_no_model(text: str) -> None:
    with pytest.raises(InputError, match=REFUSED):
        parse(text)


def test_a_clip_is_refused_for_its_own_name_and_not_for_that_of_a_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_frames(tmp_path / BYTES / "clip")
    assert find_clips([clip]) == find_clips([clip.parent]) == [clip]
    video = clip.with_name(f"{BYTES}.mp4")
    video.touch()
    for given in (video, video.parent):
        with pytest.raises(InputError, match=REFUSED):
            find_clips([given])
    monkeypatch.chdir(write_frames(tmp_path / "clips" / BYTES))
    (tmp_path / "link").symlink_to(Path.cwd())
    for given in (Path(), tmp_path / "link"):
        with pytest.raises(InputError, match=REFUSED):
            find_clips([given])


def test_a_frame_of_such_a_name_is_refused_and_any_other_file_is_passed_over(
    tmp_path: Path,
) -> None:
    clip, other = write_frames(tmp_path / "clip"), write_frames(tmp_path / "other")
    (other / f"{BYTES}.txt").touch()
    assert digest_source(clip) == digest_source(other)
    assert tree_digest(clip) != tree_digest(other)
    write_frames(clip, BYTES)
    with pytest.raises(InputError, match=REFUSED) as caught:
        digest_source(clip)
    assert str(clip) in str(caught.value)


@pytest.mark.parametrize("place", [".", "test", "test/snow/00000", "test/snow/00000/0000.png"])
def test_a_dataset_with_such_a_name_anywhere_is_refused(place: str, data: Path) -> None:
    inner = data / "inner"
    shutil.copytree(data / "test", inner / "test")
    shutil.rmtree(data / "test")
    old = inner / place
    new = old.with_name(f"{BYTES}{old.suffix}")
    old.rename(new)
    with pytest.raises(InputError, match=REFUSED) as caught:
        load(new if place == "." else data)
    assert str(caught.value).isprintable()


def test_a_dataset_in_a_folder_of_such_a_name_is_scored(data: Path, tmp_path: Path) -> None:
    (tmp_path / BYTES).mkdir()
    moved = data.rename(tmp_path / BYTES / "data")
    table = evaluate(["identity"], moved, out=tmp_path / BYTES / "run", metrics=["psnr"])
    assert [row["dataset"] for row in table.rows] == ["data"]


def test_restored_frames_of_such_names_leave_the_other_methods_their_tables(
    data: Path, tmp_path: Path
) -> None:
    for name, place in (("one", f"{BYTES}"), ("two", "00000")):
        write_frames(tmp_path / name / place, "0000", "0001", *([BYTES] if name == "two" else []))
    with pytest.raises(InputError, match=REFUSED):
        open_submission(tmp_path / "one")
    models = ["identity", f"frames:{tmp_path}/one", f"frames:{tmp_path}/two"]
    table = evaluate(models, data, out=tmp_path / "run", metrics=["psnr"])
    with pytest.raises(PartialError, match=REFUSED):
        table.raise_failures()
    assert [bool(row["psnr"]) for row in table.rows] == [True, False, False]
    assert len(read_json(tmp_path / "run" / "validation.json")["problems"]) >= 2


def test_what_a_stranger_s_model_says_in_halves_of_characters_stands_in_the_tables(
    data: Path, tmp_path: Path
) -> None:
    head = (
        "from rvsd_bench.baselines import load\nfrom rvsd_bench.baselines.info import ModelInfo\n"
    )
    call = "class M:\n  info = ModelInfo('m')\n  def __call__(self, clip):\n"
    model = "def build():\n  return M()\n"
    (tmp_path / "late.py").write_text(f"{head}{call}    raise ValueError('\\ud83d')\n{model}")
    (tmp_path / "soon.py").write_text("raise ValueError('\\ud83d')")
    models = ["identity", *(f"py:{tmp_path}/{name}.py:build" for name in ("late", "soon"))]
    table = evaluate(models, data, out=tmp_path / "run", metrics=["psnr"], trust_code=True)
    assert [bool(row["psnr"]) for row in table.rows] == [True, False, False]
    told = {row["error"] for row in read_csv(tmp_path / "run" / "per_frame.csv")}
    assert any("ValueError: \\ud83d" in error for error in told)


@pytest.mark.parametrize(
    "facts", [{"name": "\ud83d"}, {"facts": {"loss": float("nan")}}, {"facts": {"a": object()}}]
)
def test_a_model_whose_info_no_table_can_hold_is_refused_as_it_is_built(facts: dict) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        ModelInfo(**{"name": "m", **facts})


@pytest.mark.parametrize("option", ["licence", "depth", "recipe"])
def test_generate_refuses_what_its_meta_files_could_not_hold(option: str, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip")
    recipe = tmp_path / f"{BYTES}.toml"
    recipe.write_text("[fog]\nextinction_per_m = 0.002\n")
    depth = tmp_path / f"{BYTES}.npy"
    np.save(depth, np.full((16, 24), 30, np.float32))
    given = {"licence": BYTES, "depth": str(depth), "recipe": recipe}[option]
    choices = {"depth": "constant:30", "motion": "static", option: given}
    with pytest.raises(InputError, match=REFUSED):
        generate([clip], tmp_path / "out", **choices)
    assert not (tmp_path / "out").exists()
