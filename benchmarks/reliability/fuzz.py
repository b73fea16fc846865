"""Feed thousands of damaged files to the readers that commands call, and count how each one ends.

Each must end in a valid result or in an error of ours: one line that names the file. Anything else
breaks a promise: another exception (a traceback), a process that dies, one that takes more than
2 GB of memory, or more than 30 s of its processor's time. Everything follows from the seed.

    python benchmarks/reliability/fuzz.py [--count 5000] [--kinds png,csv] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ("mp4", "mkv", "png", "jpg", "zip", "csv", "json", "toml", "safetensors", "pt")
GOOD = ("valid", "refused")
BAD = ("traceback", "unclear", "crash", "hang", "memory")
CPU_S, WALL_S = 30.0, 180.0
"""What one file may take of the processor, and of the clock on a busy machine."""
MEMORY_MB = 2000.0
_START_S = 300.0


@dataclass(frozen=True)
class Ending:
    """How one damaged file ended."""

    kind: str
    index: int
    route: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0


def damaged(kind: str, index: int, seed: int, bases: list[bytes]) -> bytes:
    """Return one damaged file of a kind; in one of 25 cases it stays as it is."""
    draw = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
    data = bases[int(draw.integers(len(bases)))]
    if draw.random() < 0.04:
        return data
    for _ in range(1 if draw.random() < 0.7 else 2):
        data = _once(data, bases, kind, draw)
    return data[: 4 << 20]


def _once(data: bytes, bases: list[bytes], kind: str, draw: Any) -> bytes:
    from mutations import mutated

    try:
        return mutated(data, bases, kind, draw)
    except Exception:  # what is damaged already may not be changed inside of its format
        return mutated(data, bases, "", draw)


class Child:
    """A process that feeds files to readers, one after another, until it dies or is ended."""

    def __init__(self, command: list[str], home: Path) -> None:
        """Start it; it answers when it has imported what it needs."""
        self.log = (home / "stderr.txt").open("ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log
        )
        self.receive(time.monotonic() + _START_S)

    def receive(self, until: float) -> dict[str, Any] | str:
        """Return the next answer, or how the process broke its promise and was ended."""
        assert self.process.stdout is not None
        spent = self._cpu_s()
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 0.2)
            if ready:
                line = self.process.stdout.readline()
                return json.loads(line) if line else self._ended("crash")
            if self._memory_mb() > MEMORY_MB:
                return self._ended("memory")
            if time.monotonic() > until or self._cpu_s() - spent > CPU_S:
                return self._ended("hang")

    def feed(self, kind: str, index: int) -> dict[str, Any] | str:
        """Let one file be read."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {index}\n".encode())
        self.process.stdin.flush()
        return self.receive(time.monotonic() + WALL_S)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            if pipe is not None:
                pipe.close()

    def _ended(self, outcome: str) -> str:
        if outcome != "crash":
            self.process.kill()
        code = self.process.wait()
        return outcome if outcome != "crash" else f"crash {code}"

    def _cpu_s(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory_mb(self) -> float:
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(count: int, kinds: tuple[str, ...], seed: int, home: Path) -> Iterator[Ending]:
    """Feed `count` damaged files, in turn of each kind, and yield how each ended."""
    command = [sys.executable, __file__, "--worker", str(home), "--seed", str(seed)]
    child: Child | None = None
    try:
        for number in range(count):
            kind, index = kinds[number % len(kinds)], number // len(kinds)
            child = child or Child(command, home)
            answer = child.feed(kind, index)
            if isinstance(answer, str):
                child.close()
                child, (outcome, _, code) = None, answer.partition(" ")
                yield Ending(kind, index, _route_of(home), outcome, code)
            else:
                yield Ending(kind, index, **answer)
    finally:
        if child is not None:
            child.close()


def _route_of(home: Path) -> str:
    """Return what the process that ended had begun to read."""
    try:
        return (home / "route.txt").read_text()
    except OSError:
        return "?"


def worker(home: Path, seed: int) -> None:
    """Read the files that the parent asks for, and answer how each ended."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not answer in our place
    from readers import routes

    known = routes(home / "files", home / "work")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        kind, index = line.split()
        route = known[kind][int(index) % len(known[kind])]
        data = damaged(kind, int(index), seed, [path.read_bytes() for path in route.bases])
        (home / "route.txt").write_text(route.name)
        (home / "last.bin").write_bytes(data)
        print(json.dumps(fed(route, data)), file=answers, flush=True)


def fed(route: Any, data: bytes) -> dict[str, Any]:
    """Put a file in its place, read it, and put the old one back."""
    before = route.place.read_bytes() if route.place.exists() else None
    route.place.parent.mkdir(parents=True, exist_ok=True)
    route.place.write_bytes(data)
    _forget_peak()
    start = time.process_time()
    try:
        outcome, detail = _outcome(route)
    finally:
        if before is None:
            route.place.unlink(missing_ok=True)
        else:
            route.place.write_bytes(before)
    seconds = round(time.process_time() - start, 3)
    return {"route": route.name, "outcome": outcome, "detail": detail, "seconds": seconds} | {
        "peak_mb": _peak_mb()
    }


def _outcome(route: Any) -> tuple[str, str]:
    from rvsd_bench.errors import RvsdBenchError

    try:
        route.feed(route.place)
    except RvsdBenchError as error:
        line = str(error)
        named = any(part.name in line for part in (route.place, *route.place.parents[:2]))
        clear = named and line.isprintable() and len(line) < 2000
        return ("refused" if clear else "unclear"), line[:600]
    except Exception:  # whatever is not ours is what is looked for
        return "traceback", traceback.format_exc()[-2500:]
    return "valid", ""


def _forget_peak() -> None:
    """Let the kernel begin anew to note the highest memory of this process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return 0.0


def report(endings: list[Ending]) -> bool:
    """Print the counts by kind and outcome; tell whether every promise was kept."""
    print(f"{'kind':12}" + "".join(f"{name:>10}" for name in (*GOOD, *BAD)) + "  peak MB  most s")
    for kind in sorted({ending.kind for ending in endings}):
        mine = [ending for ending in endings if ending.kind == kind]
        counts = Counter(ending.outcome for ending in mine)
        peak, longest = max(e.peak_mb for e in mine), max(e.seconds for e in mine)
        cells = "".join(f"{counts[name]:>10}" for name in (*GOOD, *BAD))
        print(f"{kind:12}{cells}{peak:9.0f}{longest:8.1f}")
    counts = Counter(ending.outcome for ending in endings)
    print(f"{'all':12}" + "".join(f"{counts[name]:>10}" for name in (*GOOD, *BAD)))
    too_large = [ending for ending in endings if ending.peak_mb > MEMORY_MB]
    for ending in too_large:
        print(f"{ending.kind} {ending.index} ({ending.route}): {ending.peak_mb} MB")
    return not too_large and not any(counts[name] for name in BAD)


@dataclass
class _Log:
    """What the readers' process prints, to be read piece by piece."""

    path: Path
    read: int = 0

    def news(self) -> str:
        """Return what was printed since the last time."""
        with self.path.open("rb") as file:
            file.seek(self.read)
            data = file.read()
        self.read += len(data)
        return data.decode(errors="replace")


def _with_print(ending: Ending, log: _Log) -> Ending:
    """Return an ending, which is a traceback, too, if one was printed on the way to it."""
    told = log.news()
    if "Traceback (most recent" in told and ending.outcome in GOOD:
        return replace(ending, outcome="traceback", detail=told[-2500:])
    return ending


def _keep(ending: Ending, home: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{ending.outcome}-{ending.kind}-{ending.index}"
    shutil.copy(home / "last.bin", folder / f"{name}.{ending.kind}")
    (folder / f"{name}.txt").write_text(f"{ending.route}\n{ending.detail}\n")


def fuzz(count: int, kinds: tuple[str, ...], seed: int, keep: Path | None) -> bool:
    """Make the files, feed them, print the counts; tell whether every promise was kept."""
    from readers import prepare

    endings = []
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as folder:
        home = Path(folder)
        prepare(home / "files")
        log = _Log(home / "stderr.txt")
        for found in run(count, kinds, seed, home):
            ending = _with_print(found, log)
            endings.append(ending)
            if ending.outcome in BAD:
                told = ending.detail.strip()[-200:].splitlines()[-1:] or [""]
                print(f"{ending.kind} {ending.index} ({ending.route}): {ending.outcome}: {told[0]}")
                if keep is not None:
                    _keep(ending, home, keep)
    print(f"seed {seed}")
    return report(endings)


def main() -> int:
    """Feed the files that were asked for; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="a folder for the files that broke a promise")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.worker, given.seed)
        return 0
    return int(not fuzz(given.count, tuple(given.kinds.split(",")), given.seed, given.keep))


if __name__ == "__main__":
    sys.exit(main())
