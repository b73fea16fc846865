"""Kill a job of many clips, whole or one worker at a time, and compare what it leaves in the end.

`generate` makes a dataset of tiny clips with 1, 2, 3 and 4 workers in turn. In the first part its
process group is killed (SIGKILL) at random moments, and the same command goes on; in the second one
of its workers is, again and again, and the job itself must go on. Then the dataset must be, file
by file and byte by byte, the one of a run that nobody hindered: nothing missing, nothing extra, no
temporary and no lock. Told as well is how many clips failed since three attempts were killed, which
another run then makes.

    python benchmarks/reliability/kills.py [--kills 50] [--clips 40] [--workers 1,2,3,4]
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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from trees import command, contents, differences, environment, left_behind, make_clips, run, walk

SIZE = (32, 48)
FRAMES = 2
PATIENCE_S = 600.0
PARTIAL = 5
"""The exit code of a job some of whose clips have failed."""


@dataclass
class Tally:
    """What became of a part."""

    kills: int = 0
    jobs: int = 0
    failed: int = 0
    """Jobs with clips that were killed three times, and made by a further run."""
    wrong: list[str] = field(default_factory=list)


def words(home: Path, out: Path, workers: int) -> list[str | Path]:
    """Return the command's words; with a deadline one worker is a process of its own, too."""
    return [
        *("generate", home / "clips", "--out", out, "--recipe", home / "sparse.toml"),
        *("--motion", "static", "--depth", "ground", "--workers", str(workers)),
        *("--timeout", str(int(PATIENCE_S))),
    ]


def prepare(home: Path, clips: int) -> dict[str, bytes]:
    """Make footage, and return the files of the dataset that nobody hinders."""
    make_clips(home / "clips", clips, FRAMES, SIZE)
    (home / "sparse.toml").write_text("[tiers]\ndust_ratio = 2.0\n")
    ended = run(command(*words(home, home / "whole", 1)))
    if ended.code:
        raise SystemExit(f"the job itself fails: {ended.err[-500:]}")
    return contents(home / "whole")


def start(home: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start the job in a process group of its own."""
    return subprocess.Popen(
        command(*words(home, out, workers)), env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def workers_of(pid: int) -> list[int]:
    """Return the processes of a job that make clips, from the system's list of processes."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def kill_group(job: subprocess.Popen[bytes], out: Path, draw: random.Random) -> bool:
    """Kill a job and its processes some time after it began to write; tell whether it still ran."""
    before, until = _finished(out), time.monotonic() + PATIENCE_S
    wanted = before + draw.randrange(3)
    while job.poll() is None and time.monotonic() < until:
        if _finished(out) > wanted or (_finished(out) >= wanted and _writing(out)):
            time.sleep(draw.random() * 0.2)
            break
        time.sleep(0.005)
    hit = job.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    return hit


def _writing(out: Path) -> bool:
    return any(path.name.startswith(".tmp.") for path in walk(out))


def _finished(out: Path) -> int:
    return len(list(out.glob("*/meta/*.json")))


def group_kills(
    home: Path, wanted: dict[str, bytes], kills: int, crews: list[int], seed: int
) -> Tally:
    """Kill the whole job so often, beginning a new dataset whenever one is finished."""
    tally, draw = Tally(), random.Random(seed)
    while tally.kills < kills:
        out, begun = home / f"group{tally.jobs}", tally.kills
        while tally.kills < kills and kill_group(
            start(home, out, crews[tally.kills % len(crews)]), out, draw
        ):
            tally.kills += 1
        finish(home, out, wanted, tally, crews[begun % len(crews)])
    return tally


def worker_kills(
    home: Path, wanted: dict[str, bytes], kills: int, crews: list[int], seed: int
) -> Tally:
    """Kill single workers so often, while their jobs go on."""
    tally, draw = Tally(), random.Random(seed)
    while tally.kills < kills:
        workers = crews[tally.jobs % len(crews)]
        out = home / f"single{tally.jobs}"
        job = start(home, out, workers)
        while job.poll() is None and tally.kills < kills:
            time.sleep(draw.random() * 4.0 / workers)
            if victims := workers_of(job.pid):
                with suppress(ProcessLookupError):
                    os.kill(draw.choice(victims), signal.SIGKILL)
                    tally.kills += 1
        code = job.wait(PATIENCE_S)
        tally.failed += code == PARTIAL
        if code not in (0, PARTIAL):
            tally.wrong.append(f"a job ended with exit code {code}")
        elif code == 0:
            tally.wrong += _faults(out, wanted)  # as it stands: nothing has to be run again
        finish(home, out, wanted, tally, workers)
    return tally


def finish(home: Path, out: Path, wanted: dict[str, bytes], tally: Tally, workers: int) -> None:
    """Let the command end, compare its dataset, and remove it."""
    ended = run(command(*words(home, out, workers)))
    if ended.code:
        tally.wrong.append(f"exit code {ended.code}: {ended.err[-300:]!r}")
    tally.wrong += _faults(out, wanted)
    tally.jobs += 1
    shutil.rmtree(out)


def _faults(out: Path, wanted: dict[str, bytes]) -> list[str]:
    found = differences(wanted, contents(out))
    return [*found, *(f"left behind {name}" for name in left_behind(out))]


def main() -> int:
    """Print two lines; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each kind")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--workers", default="1,2,3,4")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    crews = [int(count) for count in given.workers.split(",")]
    right = True
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        wanted = prepare(home, given.clips)
        for kind, kill in (("process group", group_kills), ("single worker", worker_kills)):
            began = time.monotonic()
            tally = kill(home, wanted, given.kills, crews, given.seed)
            right &= not tally.wrong
            again = f", {tally.failed} of them with clips for a further run" if tally.failed else ""
            print(
                f"{kind}: {tally.kills} SIGKILLs over {tally.jobs} jobs of {given.clips} clips"
                f"{again}, {time.monotonic() - began:.0f} s: "
                f"{'; '.join(tally.wrong[:5]) or 'as without: 0 missing, 0 extra, 0 temporary'}",
                flush=True,
            )
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
