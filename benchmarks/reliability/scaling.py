"""Time the same dataset made by one worker and by two, on a machine with two cores to spare.

Every clip is our street, 640 pixels wide, and takes seconds to make; the start of the processes is
in the times. The clips are as many as given, so each worker has the same number. Where other
programs keep the cores busy the ratio says nothing: then it is told and not judged.

    python benchmarks/reliability/scaling.py [--clips 8] [--frames 50] [--workers 2]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from trees import command, contents, run

from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.images import write_png

LEAST = 1.8
"""How many times faster two workers must be than one."""
BUSY = 0.5
"""Processes of others, by the load average before the start, above which nothing is judged."""


def footage(home: Path, clips: int, frames: int) -> Path:
    """Write the street so often, each time with another first pixel."""
    for index, frame in enumerate(render_street(frames, size=(360, 640))):
        for number in range(clips):
            place = home / "clips" / f"clip{number:02}" / f"{index:04}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            frame[0, 0] = number
            write_png(place, frame)
    return home / "clips"


def wall_s(clips: Path, out: Path, workers: int) -> float:
    """Return the seconds in which a number of workers makes the dataset."""
    words = ("generate", clips, "--out", out, "--motion", "static", "--depth", "ground")
    began = time.perf_counter()
    ended = run(command(*words, "--workers", str(workers)))
    if ended.code:
        raise SystemExit(f"the job fails: {ended.err[-500:]}")
    return time.perf_counter() - began


def main() -> int:
    """Print the ratio; return 1 if it is too small, or the datasets differ."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        clips = footage(home, given.clips, given.frames)
        one = wall_s(clips, home / "one", 1)
        more = wall_s(clips, home / "more", given.workers)
        same = contents(home / "one") == contents(home / "more")
    ratio, wanted = one / more, LEAST * given.workers / 2
    busy = load > BUSY or len(os.sched_getaffinity(0)) < given.workers
    judged = f"not judged, the load was {load:.1f} before" if busy else f"at least {wanted:.2g}"
    print(
        f"{given.clips} clips of {given.frames} frames: one worker {one:.1f} s, {given.workers} "
        f"workers {more:.1f} s, {ratio:.2f} times as fast ({judged}); "
        f"{'the same bytes' if same else 'OTHER BYTES'}"
    )
    return int(not same or (ratio < wanted and not busy))


if __name__ == "__main__":
    sys.exit(main())
