"""Kill evaluations and their workers at random moments, and hold their tables to a run without.

In one part whole runs are killed (SIGKILL to the command, whose workers follow it) and begun again
until one is through; in the other, single workers are killed while a run goes on. In the end every
row must be there once, all tables equal the uninterrupted run's byte by byte, and nothing be left
behind.

    python benchmarks/reliability/evaluation_kills.py [--kills 20] [--workers 1,2,4]
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from trees import command, contents, differences, environment, left_behind, noise

from rvsd_bench.media.images import write_png

VIDEOS, FRAMES, SIZE = 10, 6, (72, 96)
PATIENCE_S = 300.0


def make_data(root: Path, videos: int = VIDEOS, frames: int = FRAMES) -> None:
    """Write a paired dataset of noise."""
    for video in range(videos):
        clean = noise(frames, SIZE, video)
        for side, offset in (("clean", 0), ("snow", video + 1)):
            for index, frame in enumerate(clean):
                place = root / "test" / side / f"{video:05}" / f"{index:04}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                write_png(place, frame // 2 + offset)


def words(workers: int) -> list[str]:
    """Return the evaluation, to be run in a folder that holds `data`."""
    return command("evaluate", "identity", "median", "--data", "data", "--out", "run", "--metrics",
                   "psnr,ssim", "--workers", str(workers), "--save-frames")  # fmt: skip


def start(home: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start the evaluation in a session of its own."""
    return subprocess.Popen(
        words(workers), cwd=home, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a command."""
    found = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def scored(home: Path) -> int:
    """Return how many parts there are."""
    return len(list((home / "run").glob("parts/*/*/[0-9]*.json")))


def kill_runs(home: Path, kills: int, draw: random.Random, workers: int) -> int:
    """Kill a run that has scored something new, and begin it again; return the kills that hit."""
    hits = 0
    while True:
        run, before, until = start(home, workers), scored(home), time.monotonic() + PATIENCE_S
        while hits < kills and run.poll() is None and time.monotonic() < until:
            if scored(home) > before:
                time.sleep(draw.random() * 0.2)
                break
            time.sleep(0.005)
        if hits < kills and run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            hits += 1
        if run.wait(PATIENCE_S) == 0:
            return hits


def kill_workers(home: Path, kills: int, draw: random.Random, workers: int) -> int:
    """Kill single workers of runs until one is through; return the kills that hit."""
    hits = 0
    while True:
        run = start(home, workers)
        while run.poll() is None:
            time.sleep(0.1 + draw.random() * 0.5)
            victims = workers_of(run.pid) if hits < kills and scored(home) else []
            if victims:
                with suppress(OSError):
                    os.kill(draw.choice(victims), signal.SIGKILL)
                    hits += 1
        if run.returncode == 0:
            return hits


def faults(home: Path, wanted: dict[str, bytes]) -> list[str]:
    """Say how the run differs from one that nobody hindered."""
    found = contents(home / "run")
    with (home / "run" / "per_frame.csv").open(newline="") as file:
        keys = Counter((r["method_id"], r["video"], r["frame_id"], r["metric"])
                       for r in csv.DictReader(file))  # fmt: skip
    twice = [f"twice {key}" for key, count in keys.items() if count > 1]
    parts = {name: data for name, data in found.items() if not name.startswith("parts/")}
    whole = {name: data for name, data in wanted.items() if not name.startswith("parts/")}
    missing = [f"missing {n}" for n in wanted if n.startswith("parts/") and n not in found]
    return [*twice, *missing, *differences(whole, parts), *left_behind(home / "run")]


def uninterrupted(home: Path, workers: int) -> dict[str, bytes]:
    """Return the files of a run that nobody hinders, and take the run away."""
    if start(home, workers).wait(PATIENCE_S):
        raise SystemExit("an evaluation without hindrance failed")
    found = contents(home / "run")
    (home / "run").rename(home / f"whole{workers}")
    return found


def main() -> int:
    """Print the table; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=20, help="of runs, and again of workers")
    parser.add_argument("--workers", default="1,2,4", help="taken in turn, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw, broken = random.Random(given.seed), 0
    counts = [int(count) for count in given.workers.split(",")]
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        make_data(home / "data")
        wanted = uninterrupted(home, 1)
        for what, kill in (("runs", kill_runs), ("workers", kill_workers)):
            for workers in counts if what == "runs" else [n for n in counts if n > 1]:
                share = max(1, round(given.kills / len(counts)))
                hits = kill(home, share, draw, workers)
                wrong = faults(home, wanted)
                (home / "run").rename(home / f"{what}{workers}")
                broken += bool(wrong)
                rows = VIDEOS * FRAMES * 4
                result = "; ".join(wrong[:5]) or f"all {rows} rows once, all bytes equal"
                print(f"{hits:3} {what:7} killed, {workers} workers: {result}", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
