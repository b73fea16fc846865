"""Hold what the job runner promises: order, isolation of failures, and an interrupt that ends."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.jobs import Shard, Task, TaskResult, parse_shard, run_tasks

# Functions of a pool must be importable in a fresh process: `eval` is, and does as it is told.
EXIT = "__import__('os')._exit(9)"


def _tasks(*expressions: str) -> list[Task[str]]:
    return [Task(f"task {i}", text) for i, text in enumerate(expressions)]


def _evaluated(*expressions: str, workers: int) -> list[TaskResult[object]]:
    return list(run_tasks(eval, _tasks(*expressions), workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    results = list(run_tasks(math.sqrt, [Task(str(n), n * n) for n in range(7)], workers=workers))
    assert [r.id for r in results] == [str(n) for n in range(7)]
    assert [r.value for r in results] == list(range(7))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_task_fails_alone_and_says_why(workers: int) -> None:
    results = _evaluated("1 + 1", "1 / 0", "'three'", workers=workers)
    assert [r.value for r in results] == [2, None, "three"]
    assert results[0].error is None
    assert "ZeroDivisionError: division by zero" in str(results[1].error)
    assert "Traceback" in results[1].trace


def test_an_error_of_ours_keeps_its_kind_across_processes() -> None:
    raising = (
        "exec('from rvsd_bench.errors import InputError; raise InputError(\"a.mp4 is empty\")')"
    )
    results = _evaluated(raising, "1", workers=2)
    assert isinstance(results[0].error, InputError)
    assert str(results[0].error) == "a.mp4 is empty"


def test_a_task_that_kills_its_process_fails_alone() -> None:
    results = _evaluated("0", EXIT, "2", EXIT, "4", "5", workers=2)
    assert [r.value for r in results] == [0, None, 2, None, 4, 5]
    assert [r.outcome for r in results] == ["ok", "crash", "ok", "crash", "ok", "ok"]
    assert "exit code 9" in str(results[3].error)


def test_after_a_crash_the_others_share_a_pool_again() -> None:
    who = "[__import__('time').sleep(0.2), __import__('os').getpid()][1]"
    results = _evaluated(EXIT, *[who] * 9, workers=2)
    assert results[0].outcome == "crash"
    assert len({r.value for r in results[1:]}) <= 4  # two of each pool, not one for each task


def test_worker_processes_keep_to_one_thread() -> None:
    threads = "__import__('cv2').getNumThreads()"
    numba = "__import__('numba').config.NUMBA_NUM_THREADS"
    assert [r.value for r in _evaluated(threads, numba, workers=2)] == [1, 1]


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def _alive(pids: list[int]) -> list[int]:
    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return [pid for pid in pids if lives(pid)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_job(
    blow: signal.Signals, heeds_interrupts: Callable[[], None]
) -> None:
    sleepers = "[Task(str(n), '__import__(\"time\").sleep(60)') for n in range(2)]"
    code = (
        "from rvsd_bench.jobs import Task, run_tasks\n"
        "if __name__ == '__main__':\n"
        f"    list(run_tasks(eval, {sleepers}, workers=2))"
    )
    command = [sys.executable, "-c", code]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)
    deadline = time.monotonic() + 20
    while len(_children(job.pid)) < 3 and time.monotonic() < deadline:  # two and spawn's tracker
        time.sleep(0.05)
    time.sleep(0.5)
    children = _children(job.pid)
    assert len(children) >= 3
    os.kill(job.pid, blow)
    job.communicate(timeout=10)
    while _alive(children) and time.monotonic() < deadline + 10:
        time.sleep(0.05)
    assert _alive(children) == []


def test_shards_share_all_the_work_and_nothing_twice() -> None:
    items = list(range(11))
    parts = [Shard(i, 3).of(items) for i in (1, 2, 3)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_is_read_from_i_of_n() -> None:
    assert parse_shard("2/4") == Shard(2, 4)
    assert parse_shard(None).of([1, 2]) == [1, 2]


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "1/0", "-1/2"])
def test_a_shard_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="1 <= i <= N"):
        parse_shard(text)


def test_an_unknown_executor_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="Known: pool, ray, serial"):
        run_tasks(eval, _tasks("1"), executor="cluster")
