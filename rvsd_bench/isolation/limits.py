"""What a confined model may use, and what its processes are using."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

SMALLER_TILES = "smaller tiles need less (--tile of restore, `tile` of its ModelInfo)"
"""What helps a model that ran out of memory."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_LEAST_LEFT = 2**28
"""Bytes of memory that must stay free: what lies in no process is seen by nothing else."""
_HALT_S = 1.0
"""Seconds that are waited for a process to halt."""


@dataclass(frozen=True)
class Limits:
    """What one confined model may use."""

    memory_bytes: int = 8 * 2**30
    """Of all its processes together, pages that they share counted once."""
    tasks: int = 1024
    """Processes and threads."""
    video_s: float = 600.0
    """Seconds that are waited for the frames of one video, the start of the model included."""
    total_s: float = 6 * 3600.0
    """Seconds for all videos of a submission, from the start of the run."""
    scratch_bytes: int = 2**29
    """Each of the private /tmp and /dev/shm, which lie in memory."""


@dataclass(frozen=True)
class Isolation:
    """That models are to be confined, how far, and until when."""

    limits: Limits = field(default_factory=Limits)
    began: float = field(default_factory=time.monotonic)
    """On the clock that all processes of a machine share."""

    @property
    def left_s(self) -> float:
        """Seconds that the submission still has."""
        return self.began + self.limits.total_s - time.monotonic()


@dataclass(frozen=True)
class Usage:
    """What a process and all that descend from it use."""

    tasks: int
    resident: dict[int, int]
    """Process id -> bytes; what processes share is counted for each."""

    @property
    def at_most(self) -> int:
        """Bytes that the processes use, or less: what they share is counted several times."""
        return sum(self.resident.values())

    def exactly(self) -> int:
        """Return the bytes that the processes use; takes longer."""
        return sum(_proportional(pid, most) for pid, most in self.resident.items())


def usage(root: int) -> Usage:
    """Return what a process and its descendants use now; nothing if it has ended."""
    children: dict[int, list[int]] = {}
    found: dict[int, tuple[int, int]] = {}
    for pid, parent, tasks, resident in _processes():
        children.setdefault(parent, []).append(pid)
        found[pid] = tasks, resident
    family = [root] if root in found else []
    for pid in family:  # which grows meanwhile
        family += children.get(pid, ())
    return Usage(sum(found[pid][0] for pid in family), {pid: found[pid][1] for pid in family})


def end_family(root: int) -> None:
    """Kill a child of this process that has not been waited for, and its own children, at once.

    It is halted first: a child that it had just started would not notice its death. Where a child
    is the init of a namespace of processes, the system ends all of that.
    """
    with suppress(ProcessLookupError):
        os.kill(root, signal.SIGSTOP)
    deadline = time.monotonic() + _HALT_S
    while _state(root) not in "TZX" and time.monotonic() < deadline:
        time.sleep(0.001)
    for pid, parent, _, _ in list(_processes()):
        if parent == root:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(root, signal.SIGKILL)


def memory_is_short() -> bool:
    """Tell whether the machine has next to no memory left."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 < _LEAST_LEFT
    return False


def _processes() -> Iterator[tuple[int, int, int, int]]:
    """Yield (pid, parent, threads, resident bytes) of every process on the machine."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # it has just ended
                # The name stands in parentheses and may hold anything.
                words = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                yield int(folder.name), int(words[1]), int(words[17]), int(words[21]) * _PAGE


def _state(pid: int) -> str:
    with suppress(OSError, IndexError):
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def _proportional(pid: int, resident: int) -> int:
    """Return a process's part of what it uses, or all of that if the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return resident
