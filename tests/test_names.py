"""Hostile names by benchmarks/reliability/names.py, and that it tells what it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from names import NAMES, Reader, changed_in_csv, main, ranks, write_run


def test_forty_hostile_names_leave_tables_ranks_and_page_unharmed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(set(NAMES)) >= 40
    assert main() == 0
    assert "0 changed, ranks kept" in capsys.readouterr().out


def test_a_name_that_was_changed_or_would_run_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["=1", "b"])
    assert changed_in_csv(run, ["=1", "b"]) == []
    assert changed_in_csv(run, ["=1", "c"]) == ["c"]
    table = run / "leaderboard.csv"
    table.write_text(table.read_text().replace("'=1", "=1"))
    assert changed_in_csv(run, ["=1", "b"]) == ["=1", ] and len(ranks(run)) == 2  # fmt: skip


def test_an_element_or_attribute_more_is_seen() -> None:
    assert Reader("<td>a</td>").elements == [("td",)]
    assert Reader("<td><b>a</b></td>").elements == [("td",), ("b",)]
    assert Reader('<td onclick="x">a</td>').elements == [("td", "onclick")]
