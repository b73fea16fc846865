"""Run one function over many tasks, here or in a pool of processes that survives their crashes.

The truth about what is done lies on the disk, not here: a task may run twice, and must then give
the same result.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from rvsd_bench.errors import InputError, RvsdBenchError, unknown

P = TypeVar("P")
R = TypeVar("R")
Item = TypeVar("Item")

EXECUTORS = ("pool", "serial")
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


class Track(Protocol):
    """Shows how far something is that is gone through item by item."""

    def __call__(
        self, items: Iterable[Item], *, total: int, what: str, unit: str = "frame"
    ) -> Iterable[Item]:
        """Return the items unchanged, and report on stderr or elsewhere."""


def untracked(
    items: Iterable[Item], *, total: int, what: str, unit: str = "frame"
) -> Iterable[Item]:
    """Show nothing."""
    return items


@dataclass(frozen=True)
class Task(Generic[P]):
    """A piece of work: a name for people, unique in its job, and the function's argument."""

    id: str
    payload: P


@dataclass(frozen=True)
class TaskResult(Generic[R]):
    """What became of a task: a value, or an error and where it was raised."""

    id: str
    value: R | None = None
    error: RvsdBenchError | None = None
    trace: str = ""


def run_tasks(
    function: Callable[[P], R],
    tasks: Sequence[Task[P]],
    *,
    workers: int = 1,
    executor: str = "pool",
) -> Generator[TaskResult[R], None, None]:
    """Call `function(task.payload)` for each task and yield the results in the order of the tasks.

    `workers` 0 means all cores; with one worker, or the executor `serial`, everything runs in this
    process. The pool starts fresh processes with one thread per library, so `function` must be
    importable and payloads and values picklable. A task that fails, even by killing its process,
    fails alone. On an interrupt the processes are stopped at once, and the interrupt goes on.
    """
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    count = processes(workers, executor, len(tasks))
    if count <= 1:
        return (_attempt(function, task) for task in tasks)
    return _in_pool(function, tasks, count)


def processes(workers: int, executor: str, tasks: int) -> int:
    """Return how many processes `run_tasks` would use; 1 is this one."""
    return 1 if executor == "serial" else min(workers or _cores(), tasks)


def _cores() -> int:
    """Return the cores this process may use: in a container they are fewer than the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _attempt(function: Callable[[P], R], task: Task[P]) -> TaskResult[R]:
    try:
        return TaskResult(task.id, value=function(task.payload))
    except RvsdBenchError as error:
        return TaskResult(task.id, error=error)
    except Exception as error:
        # Not every exception can be pickled; its words can.
        told = RvsdBenchError(f"internal error: {type(error).__name__}: {error}")
        return TaskResult(task.id, error=told, trace=traceback.format_exc())


def _in_pool(
    function: Callable[[P], R], tasks: Sequence[Task[P]], workers: int
) -> Generator[TaskResult[R], None, None]:
    strangers = set(multiprocessing.active_children())
    pool = _new_pool(workers)
    try:
        futures = [_submit(pool, function, task) for task in tasks]
        for index, task in enumerate(tasks):
            try:
                result = futures[index].result()
            except BrokenProcessPool:
                # A process died and took the pool along. The first unfinished task is a suspect:
                # it runs alone, so that only the guilty one fails. The others start again.
                result = _alone(function, task)
                pool.shutdown()
                pool = _new_pool(workers)
                for later in range(index + 1, len(tasks)):
                    if _is_lost(futures[later]):
                        futures[later] = _submit(pool, function, tasks[later])
            yield result
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - strangers:
            process.terminate()
        raise
    finally:
        pool.shutdown()


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[P], R], task: Task[P]
) -> Future[TaskResult[R]]:
    try:
        return pool.submit(_attempt, function, task)
    except BrokenProcessPool as error:  # it broke while it was being filled
        lost: Future[TaskResult[R]] = Future()
        lost.set_exception(error)
        return lost


def _alone(function: Callable[[P], R], task: Task[P]) -> TaskResult[R]:
    with _new_pool(1) as pool:
        try:
            return pool.submit(_attempt, function, task).result()
        except BrokenProcessPool:
            died = RvsdBenchError("its process was killed; was there enough memory?")
            return TaskResult(task.id, error=died)


def _is_lost(future: Future[TaskResult[R]]) -> bool:
    return not future.done() or isinstance(future.exception(), BrokenProcessPool)


def _new_pool(workers: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_settle)


def _settle() -> None:
    """Prepare a worker process, before any numeric library is loaded in it."""
    for name in THREADS:
        os.environ[name] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """End this process with its parent: the pool's own queue would keep an orphan waiting."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class Shard:
    """The `index`-th (from 1) of `count` equal parts of a job."""

    index: int = 1
    count: int = 1

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Return every `count`-th item, so that long and short clips spread over the parts."""
        return list(items[self.index - 1 :: self.count])


def parse_shard(text: str | None) -> Shard:
    """Read `i/N`; None is the whole job. Raises InputError for anything else."""
    if text is None:
        return Shard()
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count:
        raise InputError(f"--shard {text!r}: give i/N with 1 <= i <= N, as in 2/4")
    return shard
