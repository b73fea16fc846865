"""Time the bookkeeping of large jobs on made-up trees, and run a finished job of 1,000 clips again.

The trees hold a meta file for each video, copied from a real one. Told are the seconds to read what
is finished (the scan of resuming) and to write the manifest and the card, at 1,000, 10,000 and
100,000 videos. The cost per video must not grow by more than half from each size to the next: then
it is linear. The job of 1,000 clips has footage of its own for each, so that all of it is opened
and digested again; its second run must make nothing, in less than 2 s of processor time with the
start of the command. All are CPU seconds, so that a busy machine changes little.

    python benchmarks/reliability/bookkeeping.py [--sizes 1000,10000,100000] [--clips 1000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from trees import command, environment, make_clips, run

from rvsd_bench.making.manifest import finished, write_manifest
from rvsd_bench.media.images import encode_png

GROWTH = 1.5
"""How much dearer a video may be in a tree of the next size."""
SECONDS_PER_1000 = 2.0
OPTIONS = ("--motion", "static", "--depth", "ground", "--layers", "none")


def real_meta(home: Path) -> dict[str, Any]:
    """Return the meta file of a video that was really made."""
    make_clips(home / "one", 1, 1, (32, 48))
    ended = run(command("generate", home / "one", "--out", home / "model", *OPTIONS))
    if ended.code:
        raise SystemExit(f"the job itself fails: {ended.err[-500:]}")
    meta: dict[str, Any] = json.loads((home / "model/test/meta/00000.json").read_text())
    return meta


def write_meta(root: Path, number: int, meta: Mapping[str, Any], name: str, sha256: str) -> None:
    """Write the meta file of a made-up video."""
    video = f"{number:05d}"
    own = dict(meta) | {"video": video, "source": {**meta["source"], "name": name}}
    own["source"]["sha256"] = sha256
    own["request"] = {**meta["request"], "source": sha256}
    own["files"] = {key.replace("00000", video, 1): digest for key, digest in meta["files"].items()}
    (root / "test/meta" / f"{video}.json").write_text(json.dumps(own, sort_keys=True, indent=1))


def made_up(root: Path, size: int, meta: Mapping[str, Any]) -> Path:
    """Return a dataset that consists of meta files."""
    (root / "test/meta").mkdir(parents=True)
    for number in range(size):
        write_meta(root, number, meta, f"clip{number}.mp4", f"{number:064x}")
    return root


def seconds(work: Callable[[Path], object], root: Path) -> float:
    """Return the CPU seconds, of user and system, that some work on a tree takes."""
    began = time.process_time()
    work(root)
    return time.process_time() - began


def scan(home: Path, sizes: list[int], meta: Mapping[str, Any]) -> bool:
    """Print the cost of trees of several sizes; tell whether it is linear."""
    right, before = True, 0.0
    for size in sizes:
        root = made_up(home / str(size), size, meta)
        reading, writing = seconds(finished, root), seconds(write_manifest, root)
        each = (reading + writing) / size
        right &= not before or each < GROWTH * before
        before = each
        print(
            f"{size:6} videos: scan {reading:7.2f} s, manifest and card {writing:7.2f} s; "
            f"{1000 * each:.3f} ms a video",
            flush=True,
        )
    return right


def complete_job(home: Path, clips: int, meta: Mapping[str, Any]) -> list[str | Path]:
    """Lay out footage, and the dataset that `generate` would make of it; return the command."""
    for number in range(clips):
        (home / f"clips/clip{number:05d}").mkdir(parents=True)
        frame = np.full((32, 48, 3), number % 251, np.uint8)
        frame[0, 0] = divmod(number, 251)[0]  # no two are equal
        (home / f"clips/clip{number:05d}/0000.png").write_bytes(encode_png(frame))
    words = ["generate", home / "clips", "--out", home / "out", *OPTIONS]
    (home / "out/test/meta").mkdir(parents=True)
    foreseen = subprocess.run(
        command(*words, "--dry-run", "--json"), capture_output=True, check=True, env=environment()
    )
    for video in json.loads(foreseen.stdout)["videos"]:
        for side in ("clean", "snow"):
            (home / "out/test" / side / video["video"]).mkdir(parents=True)
        number = int(video["video"])
        write_meta(home / "out", number, meta, video["source"], video["source_sha256"])
    return words


def run_again(home: Path, clips: int, meta: Mapping[str, Any]) -> bool:
    """Run a finished job again, print what it did and took, and tell whether that was nothing."""
    words = complete_job(home, clips, meta)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command(*words, "--json"), capture_output=True, env=environment())
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode:
        raise SystemExit(f"the second run fails: {done.stderr[-500:]!r}")
    told = json.loads(done.stdout)
    print(
        f"second run of a finished job of {clips} clips: made {len(told['made'])}, "
        f"kept {len(told['kept'])}, {took:.2f} s CPU, {wall:.2f} s wall",
        flush=True,
    )
    idle = told["made"] == [] and len(told["kept"]) == clips
    return idle and took < max(1.0, clips / 1000) * SECONDS_PER_1000


def main() -> int:
    """Print the table; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--clips", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        meta = real_meta(home)
        idle = run_again(home, given.clips, meta)
        linear = scan(home, [int(size) for size in given.sizes.split(",")], meta)
    return int(not (linear and idle))


if __name__ == "__main__":
    sys.exit(main())
