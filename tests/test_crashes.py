"""Full disks, long clips and killed runs by benchmarks/reliability, which tell what fails."""

from __future__ import annotations

import json
import random
from pathlib import Path

import command_kills
import disk_full
import evaluation_kills
import long_clip
import pytest
from disk_full import Case, can_mount, complaints, on_a_disk, short_folders, under_a_limit
from disk_full import unfinished_videos as unfinished
from trees import Ended, command, differences, left_behind, make_clips, run

SIZE = (48, 64)
FULL = "rvsd-bench: cannot write out/a.png (120 bytes are needed): No space left on device; free"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with two clips of noise."""
    make_clips(tmp_path / "clips", 2, 3, SIZE)
    return tmp_path


def generation(home: Path) -> Case:
    words = ["generate", home / "clips", "--out", "out", "--motion", "static", "--depth", "ground"]
    return Case("generate", words, unfinished)


def restoration(home: Path) -> Case:
    words = ["restore", "identity", home / "clips", "--out", "out", "--device", "cpu"]
    return Case("restore", words, lambda out: short_folders(out, 3))


def whole(case: Case, home: Path) -> Path:
    """Return what a command leaves that nobody hinders."""
    (home / "clean").mkdir()
    assert run(command(*case.words), cwd=home / "clean").code == 0
    return home / "clean" / "out"


@pytest.mark.skipif(not can_mount(), reason="this user may mount no disk")
def test_generate_on_a_full_disk_leaves_nothing_half_done_and_goes_on(home: Path) -> None:
    case = generation(home)
    told, wrong = on_a_disk(case, whole(case, home), 1)
    assert wrong == [] and "No space left on device" in told


def test_restore_under_a_limit_of_size_leaves_nothing_half_done_and_goes_on(home: Path) -> None:
    case = restoration(home)
    told, wrong = under_a_limit(case, whole(case, home))
    assert wrong == [] and "File too large" in told


def test_a_killed_restore_goes_on_to_the_same_bytes(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_kills.measure(restoration(home), home, 1, random.Random(1))
    assert "as without" in capsys.readouterr().out


def test_an_evaluation_whose_worker_is_killed_has_every_row_once(tmp_path: Path) -> None:
    evaluation_kills.make_data(tmp_path / "data", videos=3, frames=2)
    wanted = evaluation_kills.uninterrupted(tmp_path, 1)
    assert evaluation_kills.kill_workers(tmp_path, 1, random.Random(0), 2) == 1
    assert evaluation_kills.faults(tmp_path, wanted) == []
    table = tmp_path / "run" / "per_frame.csv"
    table.write_text(table.read_text() + table.read_text().splitlines()[-1] + "\n")
    twice, changed = evaluation_kills.faults(tmp_path, wanted)
    assert twice.startswith("twice (") and changed == "other bytes in per_frame.csv"


@pytest.mark.slow
@pytest.mark.parametrize("name", long_clip.COMMANDS)
def test_a_long_clip_takes_hardly_more_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_clip, "SHORT", 20)
    assert long_clip.growth_mb(name, 400, (32, 48)) < long_clip.MORE_MB / 10


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (Ended(2, FULL), ""),
        (Ended(0, FULL), "exit code 0"),
        (Ended(2, "rvsd-bench: cannot write out/a.png: No space left on device"), "are not told"),
        (Ended(2, f"Traceback (most recent call last):\n{FULL}"), "are not told"),
    ],
)
def test_a_bad_ending_is_told(tmp_path: Path, ended: Ended, wrong: str) -> None:
    case = Case("any", [], lambda out: [])
    found = complaints(case, ended, tmp_path)
    assert found == [] if not wrong else len(found) == 1 and wrong in found[0]


def test_what_is_half_done_is_told(tmp_path: Path) -> None:
    for name in ("clean/00000/0000.png", "snow/00001/0000.png", "meta/00000.json"):
        (tmp_path / "test" / name).parent.mkdir(parents=True)
        files = {"clean/00000/0000.png": "", "snow/00000/0000.png": ""}
        (tmp_path / "test" / name).write_text(json.dumps({"files": files}))
    assert unfinished(tmp_path) == [
        "00000 lacks snow/00000/0000.png",
        "test/snow/00001 is there without its meta",
    ]
    assert short_folders(tmp_path, 2) == [f"{tmp_path}/test/clean/00000",
                                          f"{tmp_path}/test/snow/00001"]  # fmt: skip
    (tmp_path / ".lock.1-of-1").touch()
    assert left_behind(tmp_path) == [".lock.1-of-1"]


def test_trees_differ_by_name_and_by_bytes() -> None:
    wanted = {"a": b"1", "b": b"2", "c": b"3"}
    assert differences(wanted, wanted) == []
    assert differences(wanted, {"b": b"2", "c": b"4", "d": b""}) == [
        "missing a",
        "extra d",
        "other bytes in c",
    ]


def test_the_recipe_of_the_training_that_fills_a_disk_is_one(tmp_path: Path) -> None:
    from rvsd_bench.training.resolving import resolve

    (tmp_path / "tiny.toml").write_text(disk_full.RECIPE)
    assert resolve("svdnet", tmp_path / "tiny.toml").steps == 2
