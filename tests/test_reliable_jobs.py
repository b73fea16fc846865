"""Kills, identity, cost and bookkeeping of jobs by benchmarks/reliability, in short."""

from __future__ import annotations

import sys
from pathlib import Path

import bookkeeping
import identity
import kills
import overhead
import pytest
from trees import make_clips


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, bytes]:
    return kills.prepare(tmp_path, 3)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_killed_jobs_and_workers_leave_the_tree_of_a_run_without(
    tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    group = kills.group_kills(tmp_path, wanted, 1, [2], seed=0)
    assert (group.kills, group.wrong) == (1, [])
    single = kills.worker_kills(tmp_path, wanted, 1, [1], seed=0)
    assert (single.kills, single.wrong) == (1, [])
    changed = {name: data + b" " * name.endswith("manifest.json") for name, data in wanted.items()}
    told = kills.Tally()
    kills.finish(tmp_path, tmp_path / "again", changed, told, 1)
    assert told.wrong == ["other bytes in manifest.json"]


@pytest.mark.slow
def test_executors_and_shards_leave_one_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clips(tmp_path / "clips", 3, 2, identity.SIZE)
    every = identity.ways(ray=False)
    chosen = {way: every[way] for way in ("serial", "pool(2)", "3 shards")}
    assert identity.compare(tmp_path, "restore", chosen)
    lines = capsys.readouterr().out.splitlines()
    assert len({line.split()[-1] for line in lines}) == 1
    odd = {"serial": every["serial"], "odd": [["--container", "jpg"]]}
    (tmp_path / "restore").rename(tmp_path / "before")
    assert not identity.compare(tmp_path, "restore", odd)


@pytest.mark.slow
def test_a_finished_job_is_known_again_and_the_scan_reads_every_video(tmp_path: Path) -> None:
    meta = bookkeeping.real_meta(tmp_path)
    assert bookkeeping.run_again(tmp_path, 30, meta)
    assert bookkeeping.scan(tmp_path, [40], meta)
    assert len(bookkeeping.finished(tmp_path / "40")) == 40


def test_an_executor_costs_little_a_task() -> None:
    start, each = overhead.measure("pool", 200, 2)
    assert 0 < each < overhead.MOST_MS / 1000 < start
