"""Fence processes in by control groups, which bind root too, whom RLIMIT_NPROC does not."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rvsd_bench.errors import MissingError
from rvsd_bench.isolation.limits import Limits

_NAME = "rvsd-bench"
_ENTER = 'for group in $GROUPS_; do echo $$ > "$group/cgroup.procs" || exit 125; done; exec "$@"'
_CLEARED_S = 5.0


@contextmanager
def fenced(command: Sequence[str], limits: Limits) -> Iterator[list[str]]:
    """Lend the command that runs `command` in control groups of its own, which end with the block.

    Without root's rights that is the command itself: RLIMIT_NPROC does it. Raises MissingError for
    root where no control groups can be made.
    """
    if os.geteuid() != 0:
        yield list(command)
        return
    groups: list[Path] = []
    try:
        groups += _make(limits)
        entering = _ENTER.replace("$GROUPS_", " ".join(f"'{group}'" for group in groups))
        yield ["/bin/sh", "-c", entering, "sh", *command]
    finally:
        _remove(groups)


def require_fence() -> None:
    """Raise MissingError if there is no way to limit how many processes a model starts."""
    with fenced([], Limits()):
        pass


def memory_limit() -> int | None:
    """Return the bytes of memory to which this process and its kin are held by a control group."""
    limits = []
    for kind, file in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        mount, own = _mounts().get(kind), _own().get(kind)
        if mount is None or own is None:
            continue
        for folder in (mount / own.lstrip("/"), mount):
            with suppress(OSError, ValueError):
                limits.append(int((folder / file).read_text()))
    return min((limit for limit in limits if limit < 2**60), default=None)


def _make(limits: Limits) -> list[Path]:
    """Make the groups; the one that counts processes is needed, that of memory is not."""
    mounts = _mounts()
    # What is in /tmp counts there, and the watcher is to see first what the processes take.
    memory = limits.memory_bytes + 2 * limits.scratch_bytes
    name = f"{_NAME}-{os.getpid()}-{secrets.token_hex(4)}"
    for mount in mounts.values():
        _clear_away(mount)
    groups = []
    for kind, settings in (
        ("pids", {"pids.max": limits.tasks}),
        ("memory", {"memory.limit_in_bytes": memory}),
        ("", {"pids.max": limits.tasks, "memory.max": memory}),
    ):
        if kind not in mounts:
            continue
        group = mounts[kind] / name
        with suppress(OSError):
            group.mkdir()
            groups.append(group)
            for file, value in settings.items():
                if (group / file).exists():
                    (group / file).write_text(str(value))
    if not any((group / "pids.max").exists() for group in groups):
        _remove(groups)
        raise MissingError(
            "as root, the processes of a model are limited by control groups, which cannot be made "
            "here: run as another user, or hand in restored frames (frames:DIR)"
        )
    return groups


def _remove(groups: Sequence[Path]) -> None:
    """Remove groups once their last processes, which have been killed, are gone."""
    deadline = time.monotonic() + _CLEARED_S
    for group in groups:
        while group.is_dir():
            try:
                group.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)


def _clear_away(mount: Path) -> None:
    """Remove the empty groups that processes left which were killed."""
    for group in mount.glob(f"{_NAME}-*"):
        owner = group.name.split("-")[2]
        if not Path("/proc", owner).exists():
            with suppress(OSError):
                group.rmdir()


def _mounts() -> dict[str, Path]:
    """Return where each controller of version 1 is mounted, and under "" the tree of version 2."""
    found: dict[str, Path] = {}
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            place, (kind, _, options) = Path(before.split()[4]), after.split()[:3]
            if kind == "cgroup2":
                found[""] = place
            elif kind == "cgroup":
                found |= dict.fromkeys({"pids", "memory"}.intersection(options.split(",")), place)
    return found


def _own() -> dict[str, str]:
    """Return the group that this process is in, for each controller; "" is version 2."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            found |= dict.fromkeys(kinds.split(","), path)
    return found
