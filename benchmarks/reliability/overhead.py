"""Time what each executor adds to a task: thousands of tasks that do nothing, and its start.

Told are the milliseconds until the first result, for which processes are started, and those for
each task after it, as medians of three runs. The first run of Ray starts its cluster as well.

    python benchmarks/reliability/overhead.py [--tasks 2000] [--workers 2]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from statistics import median

from rvsd_bench.jobs import Task, run_tasks

MOST_MS = 10.0
"""A task that does nothing must cost less than this, by the median; a clip takes seconds."""


def measure(executor: str, tasks: int, workers: int) -> tuple[float, float]:
    """Return the seconds to the first result, and the mean seconds for each further task."""
    work = [Task(str(number), number) for number in range(tasks)]
    # With a deadline one worker of a pool is a process of its own.
    deadline = None if executor == "serial" else 600.0
    began = time.perf_counter()
    results = run_tasks(abs, work, workers=workers, executor=executor, timeout_s=deadline)
    if next(results).value != 0:
        raise SystemExit("a task that does nothing failed")
    first = time.perf_counter()
    if [result.value for result in results] != list(range(1, tasks)):
        raise SystemExit("tasks that do nothing failed")
    return first - began, (time.perf_counter() - first) / (tasks - 1)


def main() -> int:
    """Print a line for each executor; return 1 if one costs too much."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    right = True
    for executor in ("serial", "pool", "ray"):
        if executor == "ray" and importlib.util.find_spec("ray") is None:
            print("ray: left out, the package is not installed")
            continue
        for workers in (1, given.workers) if executor != "serial" else (1,):
            runs = [measure(executor, given.tasks, workers) for _ in range(3)]
            start, each = median(run[0] for run in runs), median(run[1] for run in runs)
            right &= 1000 * each < MOST_MS
            print(
                f"{executor:6} {workers} workers: first result after {1000 * start:7.0f} ms "
                f"(first time {1000 * runs[0][0]:.0f}), then {1000 * each:.3f} ms a task",
                flush=True,
            )
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
