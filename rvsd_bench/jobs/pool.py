"""Run tasks in fresh processes of this machine."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from rvsd_bench.jobs import interrupts
from rvsd_bench.jobs.scheduling import Died, packed
from rvsd_bench.jobs.worker import serve

LOOK_S = 1.0
"""How often to look whether workers live: what they started may hold their ends of pipes open."""
LEAVE_S = 5.0
"""How long an idle worker may take to leave."""


@dataclass(eq=False)
class LocalWorker:
    """A process, and our end of the pipe to it."""

    process: SpawnProcess
    pipe: Connection
    gone: bool = False
    """Whether the process has ended; its number may be another's by now."""

    def give(self, packed: bytes) -> None:
        """Send a task; a worker that is dead by now tells so in its news."""
        with suppress(OSError):
            self.pipe.send_bytes(packed)

    def kill(self) -> None:
        """End the process and all of its group, whatever they are doing."""
        if self.gone:
            return
        self.gone = True
        if self.process.pid and hasattr(os, "killpg"):
            with suppress(OSError):  # it may not have come to have a group
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def news(self) -> bytes | Died | None:
        """Return what the worker sent, or that it died, if either is so."""
        living = self.process.is_alive()  # asked first: it may die after its last answer
        try:
            if self.pipe.poll():
                return self.pipe.recv_bytes()
        except (EOFError, OSError):
            living = False
        if living:
            return None
        self.kill()
        return Died(_cause(self.process.exitcode or 0))


class Pool:
    """Workers that are processes of this machine, each with one thread per library."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        """Keep the function, which must be importable, for all workers."""
        self._packed = packed(function)
        self._workers: list[LocalWorker] = []
        atexit.register(
            self.dismiss, ()
        )  # or the interpreter would wait for workers that wait for it

    def hire(self) -> LocalWorker:
        """Start a process."""
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve, args=(theirs, self._packed))
        with interrupts.held():
            process.start()
        theirs.close()
        self._workers.append(LocalWorker(process, ours))
        return self._workers[-1]

    def news(self, within_s: float) -> Iterator[tuple[LocalWorker, bytes | Died]]:
        """Wait for answers and deaths, a second at most, and yield them."""
        self._workers = [worker for worker in self._workers if not worker.gone]
        wait([worker.pipe for worker in self._workers], min(within_s, LOOK_S))
        for worker in self._workers:
            found = worker.news()
            if found is not None:
                yield worker, found

    def dismiss(self, idle: Collection[object]) -> None:
        """Let idle workers leave, and end the others at once."""
        atexit.unregister(self.dismiss)
        leaving = [worker for worker in self._workers if worker in idle]
        for worker in self._workers:
            if worker in leaving:
                worker.pipe.close()
            else:
                worker.kill()
        for worker in leaving:
            worker.process.join(LEAVE_S)
            worker.kill()


def _cause(exitcode: int) -> str:
    """Say how a process ended."""
    if exitcode < 0:
        return f"its process was killed by {signal.Signals(-exitcode).name}"
    return f"its process ended with exit code {exitcode}"
