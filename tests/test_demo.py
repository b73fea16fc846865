"""The main job, end to end, on four frames of the rendered street."""

from __future__ import annotations

from pathlib import Path

import pytest

from rvsd_bench.data import dataset
from rvsd_bench.demo import FIT, NETWORK, TEST, run_demo
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.table import number
from rvsd_bench.making.verifying import verify


def test_the_whole_chain_runs_without_any_download_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVSD_BENCH_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    out = tmp_path / "demo"
    lines: list[str] = []
    done = run_demo(out, frames=4, report=lines.append)
    assert "rendered street alone" in done.footage
    assert any("samples fetch" in line for line in done.left_out)
    assert not verify(out / TEST).problems and not verify(out / FIT).problems
    assert [video.name for video in dataset.load(out / TEST).videos] == ["00000"]
    measured = next(part for part in done.groups if not part.reported)
    scores = {row["method_id"]: number(row, "psnr") for row in measured.rows}
    assert set(scores) == {"identity", "median", "dcp", "affine", NETWORK}
    # Six numbers fitted to another street take some of the haze away: a chain that mixed up its
    # sides, its frames or its folders would not show it.
    assert scores["affine"] > scores["identity"] + 1
    assert scores[NETWORK] > scores["identity"] + 1
    assert done.page.is_file() and done.sheet.is_file()
    assert (out / "leaderboard" / "leaderboard.csv").is_file()
    again = run_demo(out, frames=4)
    assert again.groups == done.groups


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run_demo(tmp_path / "demo")
