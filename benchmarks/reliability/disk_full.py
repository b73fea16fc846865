"""Fill the disk while commands write, and count those that break their promise.

Every command writes onto a disk of 1, 5 and 20 MB (a tmpfs) on which it finds too little room. It
must end with an exit code other than 0 and one line that names a path and the bytes needed, leave
no temporary and nothing that looks finished but is not; run again with room, it must leave the very
tree that it leaves on an empty disk. Where nothing may be mounted, a limit on the size of files
(RLIMIT_FSIZE) takes the place of the disk. How far the estimate of `generate --dry-run` is from
what it writes is measured as well.

    python benchmarks/reliability/disk_full.py [--sizes 1,5,20] [--commands generate,restore]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trees import (
    Ended,
    command,
    contents,
    differences,
    environment,
    left_behind,
    make_clips,
    run,
    size_on_disk,
)

MB = 2**20
SIZE = (80, 144)
CLIPS = 3
FRAME_BYTES = 122_000
"""About what a generated frame of that size takes: both sides, and the layers."""
ROOM = 0.8
"""The part of what a command writes for which it finds room."""
ESTIMATE_WITHIN = 0.3
NUMBERS = r"\d{2,} bytes|about \d+ bytes"


@dataclass(frozen=True)
class Case:
    """A command that writes into a folder `out` below its working directory."""

    name: str
    words: Sequence[str | Path]
    broken: Callable[[Path], list[str]]
    """Says what in the folder looks finished but is not."""


def unfinished_videos(out: Path) -> list[str]:
    """Name the videos of a dataset of which a part is there but not all that their meta names."""
    found = []
    for meta in out.glob("*/meta/[0-9]*.json"):
        files = json.loads(meta.read_text())["files"]
        found += [f"{meta.stem} lacks {f}" for f in files if not (meta.parents[1] / f).is_file()]
    for side in out.glob("*/*/[0-9]*"):
        if side.parent.name != "meta" and not (side.parents[1] / f"meta/{side.stem}.json").exists():
            found.append(f"{side.relative_to(out)} is there without its meta")
    return found


def short_folders(out: Path, frames: int) -> list[str]:
    """Name the folders of pictures that hold fewer than they should."""
    folders = {path.parent for path in out.rglob("*.png") if ".rvsd" not in str(path)}
    return sorted(str(f) for f in folders if len(list(f.glob("*.png"))) < frames)


def cases(home: Path, frames: int) -> list[Case]:
    """Return the commands, with what they read in `home`."""
    clips, data = home / "clips", home / "data"

    def short(out: Path) -> list[str]:
        return short_folders(out, frames)

    def none(out: Path) -> list[str]:
        return []

    generate = ["generate", clips, "--out", "out", "--motion", "static", "--depth", "ground"]
    evaluate = ["evaluate", "identity", "--data", data, "--out", "out", "--metrics", "psnr"]
    train = ["train", "svdnet", "--data", clips, "--recipe", home / "tiny.toml"]
    return [
        Case("generate", generate, unfinished_videos),
        Case("generate 2x", [*generate, "--variants", "2"], unfinished_videos),
        Case("generate ffv1", [*generate, "--container", "ffv1"], unfinished_videos),
        Case("restore", ["restore", "identity", clips, "--out", "out", "--device", "cpu"], short),
        Case("evaluate", [*evaluate, "--save-frames"], short),
        Case("cache", ["cache", clips, "--out", "out"], none),
        Case("train", [*train, "--cache", home / "cache", "--workers", "0", "--out", "out"], none),
        Case("leaderboard", ["leaderboard", "build", home / "run", "--out", "out"], none),
    ]


def prepare(home: Path, megabytes: int) -> int:
    """Make the footage for a disk of so many megabytes; return the frames of each clip."""
    frames = max(3, round(1.2 * megabytes * MB / FRAME_BYTES / CLIPS))
    make_clips(home / "clips", CLIPS, frames, SIZE)
    (home / "tiny.toml").write_text(RECIPE)
    for words in (
        ["generate", "clips", "--out", "data", "--motion", "static", "--layers", "none"],
        ["evaluate", "identity", "--data", "data", "--out", "run", "--metrics", "psnr"],
        ["cache", "clips", "--out", "cache"],
    ):
        require(run(command(*words), cwd=home))
    return frames


RECIPE = """
baseline = "svdnet"
steps = 2
batch = 1
frames = 3
crop = 32
[network]
channels = 32
unshuffle = 2
stem_blocks = 0
halvings = 1
encoder_blocks = 0
trunk_blocks = 1
heads = 2
queries = 2
flow = "none"
[losses]
charbonnier = 1.0
[data]
motion = "static"
snowfalls = 1
depth = "constant:30"
[validation]
every = 2
clips = 1
size = 32
"""


def require(ended: Ended) -> None:
    """Stop the benchmark where a command fails that has all it needs."""
    if ended.code:
        raise SystemExit(f"a command without hindrance failed: {ended.err}")


@contextmanager
def disk(megabytes: int) -> Iterator[Path]:
    """Lend a folder that is a disk of its own."""
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", name]
        subprocess.run(words, check=True, capture_output=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def can_mount() -> bool:
    """Tell whether this user may mount a disk."""
    try:
        with disk(1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def on_a_disk(case: Case, clean: Path, megabytes: int) -> tuple[str, list[str]]:
    """Run a command on a disk that is too small and then on one that is not.

    Returns the line by which it ended the first time, and what is wrong.
    """
    needed = size_on_disk(clean)
    with disk(megabytes) as place:
        fill(place, min(megabytes * MB, int(ROOM * needed)))
        ended = run(command(*case.words), cwd=place)
        wrong = complaints(case, ended, place / "out")
        (place / "ballast").unlink()
        words = ["mount", "-o", f"remount,size={megabytes + 3 * needed // MB + 8}m", str(place)]
        subprocess.run(words, check=True)
        return ended.err, [*wrong, *second_run(case, place, clean)]


def fill(place: Path, room: int) -> None:
    """Leave so many bytes of room on a disk."""
    free = shutil.disk_usage(place).free
    (place / "ballast").write_bytes(bytes(max(0, free - room)))


def under_a_limit(case: Case, clean: Path) -> tuple[str, list[str]]:
    """Run a command that may write no large file, and then without the limit."""
    limit = int(ROOM * max(path.stat().st_size for path in clean.rglob("*") if path.is_file()))
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        ended = run(limited(case.words, limit), cwd=Path(name))
        wrong = complaints(case, ended, Path(name) / "out")
        return ended.err, [*wrong, *second_run(case, Path(name), clean)]


def limited(words: Sequence[str | Path], limit: int) -> list[str]:
    """Return a command that may write no file larger than so many bytes."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "from rvsd_bench.cli import main; main()"
    )
    return [sys.executable, "-c", code, *map(str, words)]


def complaints(case: Case, ended: Ended, out: Path) -> list[str]:
    """Say what is wrong with how a command ended that had too little room."""
    wrong = [] if ended.code in (2, 5) else [f"exit code {ended.code}"]
    told = ended.line
    if not told or "out" not in told or not re.search(NUMBERS, told):
        wrong.append(f"path and bytes are not told: {ended.err[-300:]!r}")
    wrong += [f"left behind {name}" for name in left_behind(out)]
    return wrong + case.broken(out)


def second_run(case: Case, place: Path, clean: Path) -> list[str]:
    """Run a command again with room; say how its tree differs from that of an empty disk."""
    ended = run(command(*case.words), cwd=place)
    wrong = [f"again: exit code {ended.code}: {ended.err[-300:]!r}"] if ended.code else []
    found = [*differences(stable(clean), stable(place / "out")), *left_behind(place / "out")]
    return [*wrong, *(f"again: {line}" for line in found)]


def stable(out: Path) -> dict[str, bytes]:
    """Return a tree without what tells the time that a training took."""
    found = contents(out)
    if "recipe.toml" not in found:
        return found
    return {name: data for name, data in found.items() if name.endswith((".safetensors", ".toml"))}


def estimate_is_off(home: Path, clean: Path) -> float:
    """Return by which part the estimate of `generate` differs from the bytes that it wrote."""
    words = ["generate", "clips", "--out", "foreseen", "--motion", "static", "--depth", "ground"]
    done = subprocess.run(
        command(*words, "--dry-run", "--json"),
        cwd=home, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    foreseen = json.loads(done.stdout)["estimate"]["bytes"]
    written = sum(path.stat().st_size for path in clean.rglob("*") if path.is_file())
    return float(foreseen / written - 1)


def measure(megabytes: int, wanted: Sequence[str]) -> int:
    """Print a line for each command on a disk of one size; return how many broke the promise."""
    broken, mounted = 0, can_mount()
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        frames = prepare(home, megabytes)
        for case in cases(home, frames):
            if wanted and case.name not in wanted:
                continue
            clean = home / "clean" / case.name
            clean.mkdir(parents=True)
            require(run(command(*case.words), cwd=clean))
            clean /= "out"
            told, wrong = (
                on_a_disk(case, clean, megabytes) if mounted else under_a_limit(case, clean)
            )
            broken += bool(wrong)
            how = f"{megabytes:2} MB tmpfs" if mounted else "RLIMIT_FSIZE"
            needed = size_on_disk(clean) / MB
            when = "refused before" if "room for" in told else "stopped midway"
            result = "; ".join(wrong) or f"{when}, then whole"
            print(f"{how}  {case.name:13} {needed:6.2f} MB needed  {result}", flush=True)
            if case.name == "generate":
                off = estimate_is_off(home, clean)
                broken += abs(off) > ESTIMATE_WITHIN
                print(f"              estimate {off:+.1%} of what was written; promise: 30 %")
    return broken


def main() -> int:
    """Print the table; return 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sizes", default="1,5,20", help="of the disks, in MB")
    parser.add_argument("--commands", default="", help="only these, comma-separated")
    given = parser.parse_args()
    wanted = [name for name in given.commands.split(",") if name]
    return int(sum(measure(int(size), wanted) for size in given.sizes.split(",")) > 0)


if __name__ == "__main__":
    sys.exit(main())
