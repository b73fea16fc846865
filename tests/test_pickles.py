"""A part of benchmarks/reliability/pickles.py: no payload runs, no bomb takes memory."""

from __future__ import annotations

from pathlib import Path

from pickles import MOST_MB, attempt, evil, runs, try_bombs, try_pickles, ways


def test_no_payload_runs_and_every_way_refuses_in_a_line_of_ours(tmp_path: Path) -> None:
    count, attempts, broken = try_pickles(tmp_path, step=17)
    assert (count, broken) == (12, [])
    assert attempts > 60


def test_a_payload_runs_where_nothing_restrains_it(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    assert runs(evil(marker)["a part of a module"], marker)
    assert not marker.exists()


def test_bombs_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    count, most_mb, broken = try_bombs(tmp_path)
    assert (count, broken) == (7, [])
    assert most_mb < MOST_MB


def test_an_attempt_tells_what_was_loaded_and_what_fell_over(tmp_path: Path) -> None:
    assert attempt(lambda path: None, tmp_path) == "LOADED"
    assert attempt(lambda path: {}["a"], tmp_path) == "TRACEBACK KeyError: 'a'"
    assert len({name for _, name, _ in ways(tmp_path)}) > 10
