"""Damaged files of ten kinds by benchmarks/reliability/fuzz.py, and that it tells what fails."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pytest
from fuzz import GOOD, KINDS, MEMORY_MB, damaged, run
from mutations import INSIDE
from readers import prepare
from readers.clips import look
from readers.route import Route

from rvsd_bench.errors import InputError
from rvsd_bench.media.containers import find_damage


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    prepare(folder / "files")
    return folder


def test_damaged_files_of_every_kind_end_in_a_result_or_in_one_line(home: Path) -> None:
    endings = list(run(25 * len(KINDS), KINDS, 3, home))
    assert [(e.kind, e.index, e.route, e.detail) for e in endings if e.outcome not in GOOD] == []
    assert max(ending.peak_mb for ending in endings) < MEMORY_MB
    outcomes = Counter((ending.kind, ending.outcome) for ending in endings)
    assert all(outcomes[kind, "refused"] for kind in KINDS)
    assert sum(outcomes[kind, "valid"] for kind in KINDS) > 25


def test_damage_follows_from_the_seed_and_seldom_leaves_a_file_as_it_was(home: Path) -> None:
    assert set(INSIDE) == set(KINDS)
    for kind in KINDS:
        bases = [path.read_bytes() for path in sorted((home / "files").glob(f"*.{kind}"))]
        made = [damaged(kind, index, 1, bases) for index in range(30)]
        assert made == [damaged(kind, index, 1, bases) for index in range(30)]
        assert made != [damaged(kind, index, 2, bases) for index in range(30)]
        assert sum(data in bases for data in made) < 10


def test_the_videos_to_damage_are_the_same_in_every_run(home: Path, tmp_path: Path) -> None:
    from readers.clips import _videos

    _videos(tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert {"h264.mkv", "ours.mkv", "vp9.mkv", "pieces.mp4"} <= set(made)
    changed = [n for n in made if (tmp_path / n).read_bytes() != (home / "files" / n).read_bytes()]
    assert changed == []


def test_the_checksums_of_a_matroska_file_do_not_tell_what_was_changed_inside(home: Path) -> None:
    data = (home / "files" / "ours.mkv").read_bytes()
    assert INSIDE["mkv"](data, np.random.default_rng(0)) != data
    told: Counter[bool | None] = Counter()
    for seed in range(100):
        (home / "in.mkv").write_bytes(INSIDE["mkv"](data, np.random.default_rng(seed)))
        damage = find_damage(home / "in.mkv")
        told[damage and ("checksum" in damage.reason)] += 1
    assert told[None] > 50
    assert told[True] < 5  # of what has no such checksum any more


class Reader:
    """Stands in for a reader that fails as it is told."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, path: Path) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InputError("in.png is damaged"), "refused"),
        (InputError("it is damaged"), "unclear"),
        (InputError("in.png is damaged:\nat 3"), "unclear"),
        (InputError("in.png holds \x1b[2J"), "unclear"),
        (InputError("in.png holds " + "x" * 5000), "unclear"),
        (KeyError("a"), "traceback"),
        (MemoryError(), "traceback"),
        (RecursionError(), "traceback"),
    ],
)
def test_what_breaks_the_promise_is_told_from_what_keeps_it(
    error: Exception, outcome: str, tmp_path: Path
) -> None:
    route = Route("png", "picture", (), tmp_path / "in.png", Reader(error))
    assert fuzz.fed(route, b"data")["outcome"] == outcome
    assert not (tmp_path / "in.png").exists()


SCRIPTS = {
    "hang": "while True: pass",
    "memory": "kept = bytearray(10**6) * 3000",
    "crash": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
}


@pytest.mark.parametrize("outcome", SCRIPTS)
def test_a_process_that_hangs_swells_or_dies_is_ended_and_told(
    outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "CPU_S", 0.5)
    monkeypatch.setattr(fuzz, "MEMORY_MB", 400.0)
    script = "import sys, time\nprint('{}', flush=True)\nsys.stdin.readline()\n" + SCRIPTS[outcome]
    command = [sys.executable, "-c", script + "\ntime.sleep(60)"]
    child = fuzz.Child(command, tmp_path)
    try:
        answer = child.feed("png", 0)
    finally:
        child.close()
    assert isinstance(answer, str) and answer.startswith(outcome)


def test_a_frame_that_is_no_frame_is_no_valid_result() -> None:
    from rvsd_bench.clip import ArrayClip

    clip = ArrayClip(np.zeros((2, 4, 6, 3), np.uint8), 25.0)
    look(clip)
    with pytest.raises(AssertionError, match="times that are no times"):
        look(ArrayClip(clip.frames, float("inf")))
