"""Run one function over many tasks: here, in a pool that survives crashes, or on a cluster.

The truth about what is done lies on the disk, not here: a task may run twice, and must then give
the same result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence

from rvsd_bench.errors import InputError, unknown
from rvsd_bench.jobs.scheduling import Crew, Shift
from rvsd_bench.jobs.shards import Shard, parse_shard
from rvsd_bench.jobs.tasks import Outcome, P, R, Task, TaskResult, Track, attempt, untracked
from rvsd_bench.jobs.worker import THREADS

__all__ = [
    "EXECUTORS",
    "THREADS",
    "Outcome",
    "Shard",
    "Task",
    "TaskResult",
    "Track",
    "in_process",
    "parse_shard",
    "run_tasks",
    "untracked",
]

EXECUTORS = ("pool", "serial", "ray")


def run_tasks(
    function: Callable[[P], R],
    tasks: Sequence[Task[P]],
    *,
    workers: int = 1,
    executor: str = "pool",
    timeout_s: float | None = None,
    gpus: float = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Generator[TaskResult[R], None, None]:
    """Call `function(task.payload)` for each task and yield the results in the order of the tasks.

    `workers` 0 means all cores. The executor `serial`, and `pool` with one worker and no deadline,
    run everything in this process. The others use fresh processes with one thread per library, so
    `function` must be importable and payloads and values picklable. There a task whose process
    dies is begun again, three times in all, while the others go on; one that is not done after
    `timeout_s` seconds is stopped with all that it has started, and not begun again. So a task
    fails alone, and its result says how. `report` hears of processes that died. `gpus` is what each
    worker takes of a cluster's GPUs. On an interrupt the processes are stopped at once, and the
    interrupt goes on.

    Raises InputError for an unknown executor, or a deadline for `serial`, which cannot stop itself;
    MissingError for `ray` where it is not installed.
    """
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    if timeout_s is not None and (executor == "serial" or not timeout_s > 0):
        raise InputError("--timeout needs seconds above 0 and the executor pool or ray")
    if in_process(workers, executor, len(tasks), timeout_s):
        return (attempt(function, task) for task in tasks)
    crew: Crew
    if executor == "ray":
        from rvsd_bench.jobs.cluster import RayCrew, connect

        workers = connect(workers)
        crew = RayCrew(function, gpus)
    else:
        from rvsd_bench.jobs.pool import Pool

        crew = Pool(function)
    return Shift(crew, tasks, workers or _cores(), timeout_s, report).results()


def in_process(workers: int, executor: str, tasks: int, timeout_s: float | None = None) -> bool:
    """Return whether `run_tasks` would run everything in this process."""
    alone = min(workers or _cores(), tasks) <= 1 and timeout_s is None
    return executor == "serial" or (executor == "pool" and alone) or not tasks


def _cores() -> int:
    """Return the cores this process may use: in a container they are fewer than the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
