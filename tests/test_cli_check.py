"""The command prints its findings, and its exit code says whether there are any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.cli import main
from rvsd_bench.media.images import write_png
from rvsd_bench.seeds import stream


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple:
    monkeypatch.setattr("sys.argv", ["rvsd-bench", *words])
    with pytest.raises(SystemExit) as left:
        main()
    printed = capsys.readouterr()
    return left.value.code, printed.out, printed.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = stream("frames")
    for index in range(3):
        frame = (random.random((32, 48, 3)) * 255).astype(np.uint8)
        for side in ("snow", "clean"):
            (tmp_path / "test" / side / "00000").mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "test" / side / "00000" / f"{index:04d}.png", frame)
    return tmp_path


def test_a_sound_dataset_is_answered_with_its_counts(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run(capsys, monkeypatch, "check", str(data), "-v")
    assert code == 0
    assert out.splitlines() == [
        f"{data}: layout rvsd, snowy and clean",
        "test: 1 clip, 3 frames, 48x32",
        "  test/00000: 3 frames, 48x32",
    ]


def test_problems_are_listed_and_exit_with_4(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "test/clean/00000/0001.png").unlink()
    (data / "test/snow/00000/0002.png").write_bytes(b"no picture")
    code, out, err = run(capsys, monkeypatch, "check", str(data))
    assert code == 4
    assert [line.split(":")[0] for line in out.splitlines()[2:]] == ["problem", "problem"]
    assert "problems found: 2" in err.splitlines()[-1]
    code, out, _ = run(capsys, monkeypatch, "check", str(data), "--json")
    assert code == 4
    assert [problem["kind"] for problem in json.loads(out)["problems"]] == ["missing", "unreadable"]


def test_a_folder_that_is_no_dataset_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(capsys, monkeypatch, "check", str(tmp_path / "absent"))
    assert (code, out) == (2, "")
    assert "there is no such folder" in err
