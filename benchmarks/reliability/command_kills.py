"""Kill every command that writes at random moments, and hold what it leaves to a run without.

A command is killed (SIGKILL to its process group) at a moment between its first write and its end,
and begun again; after so many kills it is let through. What it leaves must equal the tree of a run
that nobody hindered, byte by byte, with no temporary and no lock beside it. Kills that come too
late are told apart: what is finished is compared, and removed.

    python benchmarks/reliability/command_kills.py [--kills 5] [--commands restore,train]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from disk_full import Case, cases, prepare, require, stable
from trees import command, differences, environment, left_behind, run, walk

PATIENCE_S = 300.0
TRIES = 4
"""How often at most a command is begun for each kill, since some come too late."""


def entries(out: Path) -> set[tuple[str, int]]:
    """Return the paths below a folder, temporaries too, and when they were changed."""
    found = set()
    for path in walk(out):
        with suppress(FileNotFoundError):  # it was renamed in the meantime
            found.add((str(path), path.lstat().st_mtime_ns))
    return found


def started(case: Case, home: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, and return once it writes or has ended."""
    before, until = entries(home / "out"), time.monotonic() + PATIENCE_S
    process = subprocess.Popen(
        command(*case.words), cwd=home, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and time.monotonic() < until:
        if entries(home / "out") - before:
            break
        time.sleep(0.001)
    return process


def killed(case: Case, home: Path, after_s: float) -> bool:
    """Start a command and kill it so long after it began to write; tell whether that hit."""
    process = started(case, home)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    hit = process.poll() is None
    if hit:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return hit


def faults(place: Path, wanted: Mapping[str, bytes]) -> list[str]:
    """Say how far the tree that a command has left is from the one of a run without kills."""
    temporaries = (f"left behind {name}" for name in left_behind(place / "out"))
    return [*differences(wanted, stable(place / "out")), *temporaries]


def measure(case: Case, home: Path, kills: int, draw: random.Random) -> bool:
    """Print what became of a command that was killed so often; tell whether it is as it should."""
    clean, place = home / "clean" / case.name, home / "killed" / case.name
    for folder in (clean, place):
        folder.mkdir(parents=True)
    process, began = started(case, clean), time.monotonic()
    if process.wait(PATIENCE_S):
        require(run(command(*case.words), cwd=clean))
    writes_s, wanted = time.monotonic() - began, stable(clean / "out")
    hits, wrong = 0, []
    for _ in range(TRIES * kills):
        if killed(case, place, draw.random() * writes_s):
            hits += 1
            if hits == kills:
                break
        else:  # it was done before: from the beginning
            wrong += faults(place, wanted)
            shutil.rmtree(place / "out", ignore_errors=True)
    ended = run(command(*case.words), cwd=place)
    wrong += [f"exit code {ended.code}: {ended.err[-300:]!r}"] if ended.code else []
    wrong += faults(place, wanted)
    print(f"{case.name:13} {hits:3} kills: {'; '.join(wrong) or 'as without'}", flush=True)
    return not wrong


def main() -> int:
    """Print the table; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=5, help="of each command")
    parser.add_argument("--commands", default="", help="only these, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    wanted = [name for name in given.commands.split(",") if name]
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        frames = prepare(home, 1)
        chosen = [case for case in cases(home, frames) if not wanted or case.name in wanted]
        right = [measure(case, home, given.kills, draw) for case in chosen]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
