"""Run tasks in the processes of a Ray cluster: one that is there, or one of this machine."""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.jobs.scheduling import Died, packed
from rvsd_bench.jobs.worker import READY, THREADS, answer, settle

LOOK_S = 1.0


class Hand:
    """An actor: it keeps the function, and what that holds, from task to task."""

    def __init__(self, packed: bytes) -> None:
        """Prepare the process."""
        settle()
        self._function = pickle.loads(packed)

    def ready(self) -> bytes:
        """Tell that the process stands."""
        return READY

    def work(self, packed: bytes) -> bytes:
        """Attempt a task."""
        return answer(self._function, packed)


@dataclass(eq=False)
class RayWorker:
    """An actor, and the answer that is awaited of it."""

    ray: ModuleType
    actor: Any
    awaited: Any
    """None while it is idle."""

    def give(self, packed: bytes) -> None:
        """Send a task; an actor that is dead by now tells so in its news."""
        self.awaited = self.actor.work.remote(packed)

    def kill(self) -> None:
        """End the actor's process, whatever it is doing."""
        self.awaited = None
        with suppress(Exception):  # it may be gone
            self.ray.kill(self.actor, no_restart=True)


class RayCrew:
    """Workers that are actors; each is given one task at a time, and is not restarted by Ray."""

    def __init__(self, function: Callable[[Any], Any], gpus: float) -> None:
        """Keep the function, which must be importable on every node."""
        self._ray = import_ray()
        self._packed = packed(function)
        self._hand = self._ray.remote(Hand).options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": dict.fromkeys(THREADS, "1")},
        )
        self._workers: list[RayWorker] = []

    def hire(self) -> RayWorker:
        """Ask for an actor; it stands when the cluster has a place for it."""
        actor = self._hand.remote(self._packed)
        self._workers.append(RayWorker(self._ray, actor, actor.ready.remote()))
        return self._workers[-1]

    def news(self, within_s: float) -> Iterator[tuple[RayWorker, bytes | Died]]:
        """Wait for answers and deaths, a second at most, and yield them."""
        by_answer = {worker.awaited: worker for worker in self._workers if worker.awaited}
        if not by_answer:
            return
        found, _ = self._ray.wait(list(by_answer), timeout=min(within_s, LOOK_S))
        for awaited in found:
            worker = by_answer[awaited]
            worker.awaited = None
            try:
                yield worker, self._ray.get(awaited)
            except self._ray.exceptions.RayError as error:
                worker.kill()
                yield worker, Died(_cause(error))

    def dismiss(self, idle: Collection[object]) -> None:
        """End all actors; the cluster stays until this process ends."""
        for worker in self._workers:
            worker.kill()


def import_ray() -> ModuleType:
    """Return the module ray, or raise MissingError; what it reads as it is imported is set."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if not os.environ.get("RAY_ADDRESS"):
        # So it is named, and off it keeps a cluster of one machine to the loopback interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        return import_module("ray")
    except ImportError as error:
        raise MissingError(
            "the executor ray needs the package ray: pip install 'rvsd-bench[ray]'"
        ) from error


def connect(workers: int) -> int:
    """Join the cluster of RAY_ADDRESS, or start one here; return how many workers it has room for.

    One that is started here listens on the loopback interface alone, has no dashboard, and wants a
    token that only this process and its children know. It stays until this process ends.
    """
    ray = import_ray()
    if not ray.is_initialized():
        here: dict[str, Any] = {}
        if not os.environ.get("RAY_ADDRESS"):
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            here = {"address": "local", "num_cpus": workers or None, "include_dashboard": False}
        try:
            ray.init(logging_level="ERROR", log_to_driver=False, **here)
        except Exception as error:  # it raises RuntimeError, ConnectionError, ValueError and others
            raise InputError(
                f"no Ray cluster: {_line(error)} (see RAY_ADDRESS and RAY_AUTH_TOKEN; a cluster "
                "without tokens needs RAY_AUTH_MODE=disabled)"
            ) from error
    return workers or int(ray.cluster_resources().get("CPU", 1))


def _cause(error: Exception) -> str:
    return f"its process on the cluster died ({_line(error)})"


def _line(error: Exception) -> str:
    """Return the first line of what Ray says, which may be a page."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
