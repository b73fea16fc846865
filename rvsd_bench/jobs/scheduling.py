"""Hand tasks to workers, one at a time each, so that who dies or hangs is known by name."""

from __future__ import annotations

import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol

from rvsd_bench.errors import InputError, RvsdBenchError
from rvsd_bench.jobs.tasks import P, R, Task, TaskResult, internal
from rvsd_bench.jobs.worker import READY

ATTEMPTS = 3
"""How often a task is begun whose process dies: it may have been somebody else's fault."""
STILLBORN = 5
"""How many workers in a row may die before they are ready, until the job is given up."""


@dataclass(frozen=True)
class Died:
    """The news that a worker is no more."""

    reason: str


def packed(function: Callable[[Any], Any]) -> bytes:
    """Return a function as it is sent to workers; raise InputError if it cannot be."""
    try:
        return pickle.dumps(function)
    except Exception as error:  # pickling runs the function's own code
        raise InputError(
            f"the work cannot be sent to other processes ({error}); use one worker"
        ) from error


class Worker(Protocol):
    """A process somewhere that takes one task at a time."""

    def give(self, packed: bytes) -> None:
        """Send a task; a worker that is dead by now tells so in its news."""

    def kill(self) -> None:
        """End the process, and what it has started, whatever it is doing."""


class Crew(Protocol):
    """A kind of worker: how it is hired, listened to and sent away."""

    def hire(self) -> Worker:
        """Start a worker; it sends READY when it can take a task."""

    def news(self, within_s: float) -> Iterable[tuple[Worker, bytes | Died]]:
        """Wait for something to happen, not much longer than told, and say what."""

    def dismiss(self, idle: Collection[Worker]) -> None:
        """Let idle workers leave, and end the others at once."""


@dataclass
class Shift(Generic[P, R]):
    """One job under way: who is doing what until when, and what is done."""

    crew: Crew
    tasks: Sequence[Task[P]]
    workers: int
    timeout_s: float | None
    report: Callable[[str], None]
    waiting: deque[int] = field(default_factory=deque)
    starting: list[Worker] = field(default_factory=list)
    idle: list[Worker] = field(default_factory=list)
    busy: list[tuple[Worker, int, float]] = field(default_factory=list)
    """Worker, task and deadline."""
    begun: dict[int, int] = field(default_factory=dict)
    """Task to the number of its attempts."""
    done: dict[int, TaskResult[R]] = field(default_factory=dict)
    stillborn: int = 0

    def results(self) -> Generator[TaskResult[R], None, None]:
        """Yield the results in the order of the tasks."""
        self.waiting.extend(range(len(self.tasks)))
        try:
            for index in range(len(self.tasks)):
                while index not in self.done:
                    self._staff()
                    for worker, news in self.crew.news(self._patience_s()):
                        self._take(worker, news)
                    self._stop_late()
                    self._hand_out()
                yield self.done.pop(index)
        finally:
            self.crew.dismiss(self.idle)

    def _staff(self) -> None:
        """Hire whom the remaining work can use."""
        there = len(self.starting) + len(self.idle) + len(self.busy)
        for _ in range(there, min(self.workers, len(self.waiting) + len(self.busy))):
            self.starting.append(self.crew.hire())

    def _hand_out(self) -> None:
        while self.idle and self.waiting:
            index = self.waiting.popleft()
            task = self.tasks[index]
            self.begun[index] = self.begun.get(index, 0) + 1
            try:
                packed = pickle.dumps((task.id, pickle.dumps(task)))
            except Exception as error:  # pickling runs the payload's own code
                self._settle(index, internal(task.id, error))
                continue
            worker = self.idle.pop()
            self.busy.append((worker, index, time.monotonic() + (self.timeout_s or math.inf)))
            worker.give(packed)

    def _patience_s(self) -> float:
        deadline = min((until for _, _, until in self.busy), default=math.inf)
        return max(0.0, deadline - time.monotonic())

    def _take(self, worker: Worker, news: bytes | Died) -> None:
        held = next((index for who, index, _ in self.busy if who is worker), None)
        if isinstance(news, Died):
            self.stillborn += worker in self.starting
            self._let_go(worker)
            if held is not None:
                self._bury(held, news.reason)
            if self.stillborn >= STILLBORN:
                raise RvsdBenchError(
                    f"worker processes end as they start ({news.reason}); a script that uses them "
                    "needs `if __name__ == '__main__':` around its calls"
                )
            return
        self._let_go(worker)
        self.idle.append(worker)
        if news == READY:
            self.stillborn = 0
        elif held is not None:
            self._settle(held, pickle.loads(news))

    def _bury(self, index: int, reason: str) -> None:
        """Begin a task again whose process died, unless it did so too often."""
        name, count = self.tasks[index].id, self.begun[index]
        if count < ATTEMPTS:
            self.report(f"{name}: {reason}; beginning again ({count + 1} of {ATTEMPTS})")
            self.waiting.appendleft(index)
            return
        died = RvsdBenchError(f"{reason}, {ATTEMPTS} times; was there enough memory?")
        self._settle(index, TaskResult(name, error=died, outcome="crash"))

    def _stop_late(self) -> None:
        now = time.monotonic()
        for worker, index, _ in [held for held in self.busy if held[2] <= now]:
            worker.kill()
            self._let_go(worker)
            late = RvsdBenchError(f"not done after {self.timeout_s:g} s, and stopped (--timeout)")
            name = self.tasks[index].id
            self._settle(index, TaskResult(name, error=late, outcome="timeout"))

    def _settle(self, index: int, result: TaskResult[Any]) -> None:
        self.done[index] = replace(result, attempts=self.begun[index])

    def _let_go(self, worker: Worker) -> None:
        self.starting = [who for who in self.starting if who is not worker]
        self.idle = [who for who in self.idle if who is not worker]
        self.busy = [held for held in self.busy if held[0] is not worker]
