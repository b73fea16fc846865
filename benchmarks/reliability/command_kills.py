"""Kill every command that writes at random moments, and hold what it leaves to a run without.

A command is killed (SIGKILL to its process group) as soon as something new of it lies on the disk,
or a moment later, and begun again; after so many kills it is let through. What it leaves must equal
the tree of a run that nobody hindered, byte by byte, with no temporary and no lock beside it.

    python benchmarks/reliability/command_kills.py [--kills 5] [--commands restore,train]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from disk_full import Case, cases, prepare, require, stable
from trees import command, differences, environment, left_behind, run, walk

PATIENCE_S = 300.0


def entries(out: Path) -> set[tuple[str, int]]:
    """Return the paths below a folder, temporaries too, and when they were changed."""
    found = set()
    for path in walk(out):
        with suppress(FileNotFoundError):  # it was renamed in the meantime
            found.add((str(path), path.lstat().st_mtime_ns))
    return found


def killed(case: Case, home: Path, draw: random.Random) -> bool:
    """Start a command and kill it when it has written something; tell whether that hit."""
    before, until = entries(home / "out"), time.monotonic() + PATIENCE_S
    started = subprocess.Popen(
        command(*case.words), cwd=home, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while started.poll() is None and time.monotonic() < until:
        if entries(home / "out") - before:
            time.sleep(draw.random() ** 2 * 0.3)
            break
        time.sleep(0.002)
    hit = started.poll() is None
    if hit:
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    return hit


def measure(case: Case, home: Path, kills: int, draw: random.Random) -> bool:
    """Print what became of a command that was killed so often; tell whether it is as it should."""
    clean, place = home / "clean" / case.name, home / "killed" / case.name
    for folder in (clean, place):
        folder.mkdir(parents=True)
    require(run(command(*case.words), cwd=clean))
    hits = sum(killed(case, place, draw) for _ in range(kills))
    ended = run(command(*case.words), cwd=place)
    wrong = [f"exit code {ended.code}: {ended.err[-300:]!r}"] if ended.code else []
    wrong += differences(stable(clean / "out"), stable(place / "out"))
    wrong += [f"left behind {name}" for name in left_behind(place / "out")]
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
