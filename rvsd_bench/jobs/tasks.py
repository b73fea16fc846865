"""Say what a task is, what becomes of it, and how one is attempted."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from rvsd_bench.errors import RvsdBenchError

P = TypeVar("P")
R = TypeVar("R")
Item = TypeVar("Item")

Outcome: TypeAlias = Literal["ok", "error", "crash", "timeout"]
"""A value; an exception; a process that died with every attempt; one stopped at its deadline."""


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
    outcome: Outcome = "ok"
    attempts: int = 1
    """How often it was begun: more than once if a process died with it."""


def attempt(function: Callable[[P], R], task: Task[P]) -> TaskResult[R]:
    """Call a function on a task's payload, and turn what it raises into a result."""
    try:
        return TaskResult(task.id, value=function(task.payload))
    except RvsdBenchError as error:
        return TaskResult(task.id, error=error, trace=traceback.format_exc(), outcome="error")
    except Exception as error:
        return internal(task.id, error)


def internal(name: str, error: Exception) -> TaskResult[R]:
    """Return the result of a task that met an error which is not the user's to mend."""
    # Not every exception can be pickled; its words can.
    told = RvsdBenchError(f"internal error: {type(error).__name__}: {error}")
    return TaskResult(name, error=told, trace=traceback.format_exc(), outcome="error")
