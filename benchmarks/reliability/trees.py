"""What the benchmarks of crashes share: footage of noise, commands, and how two trees differ."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.media.images import write_png

COMPARABLE = {"SOURCE_DATE_EPOCH": "1700000000", "GIT_DIR": os.devnull}
"""By which manifests of two runs tell neither the time nor the commit, which may change."""
PAGE = 4096


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    err: str

    @property
    def line(self) -> str:
        """The one line that tells what went wrong; empty if there is not one."""
        lines = [line for line in self.err.splitlines() if line.startswith("rvsd-bench: ")]
        return lines[0] if len(lines) == 1 and "Traceback" not in self.err else ""


def noise(count: int, size: tuple[int, int], seed: int) -> list[Frame]:
    """Return frames [H, W, 3] of noise that moves by two pixels: nothing of them compresses."""
    draw = np.random.default_rng(seed)
    wide = draw.integers(0, 256, (size[0], size[1] + 2 * count, 3), np.uint8)
    return [np.ascontiguousarray(wide[:, 2 * t : 2 * t + size[1]]) for t in range(count)]


def make_clips(folder: Path, clips: int, frames: int, size: tuple[int, int]) -> Path:
    """Write clips of so many frames, each a folder of pictures, into a folder."""
    for number in range(clips):
        for index, frame in enumerate(noise(frames, size, number)):
            place = folder / f"clip{number:02}" / f"{index:04}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_png(place, frame)
    return folder


def command(*words: str | Path) -> list[str]:
    """Return a command of ours, to be run in a process of its own."""
    return [sys.executable, "-m", "rvsd_bench", *map(str, words)]


def environment(others: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which runs can be compared, with one thread per library."""
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return {**os.environ, **COMPARABLE, **threads, **(others or {})}


def run(words: list[str], *, cwd: Path | None = None) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), cwd=cwd)
    return Ended(done.returncode, done.stderr)


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder by its path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def differences(wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Say which files of two trees are missing, too many, or of other bytes."""
    missing = [f"missing {name}" for name in wanted if name not in found]
    extra = [f"extra {name}" for name in found if name not in wanted]
    other = [f"other bytes in {name}" for name in wanted if found.get(name, b"") != wanted[name]]
    return [*missing, *extra, *(line for line in other if line[15:] in found)]


def walk(root: Path) -> Iterator[Path]:
    """Yield what lies below a folder, also while somebody else renames and removes it."""
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


def left_behind(root: Path) -> list[str]:
    """Return the temporaries and locks below a folder."""
    names = (path for path in root.rglob(".*") if path.name.startswith((".tmp.", ".lock.")))
    return sorted(path.relative_to(root).as_posix() for path in names)


def size_on_disk(root: Path) -> int:
    """Return the bytes that the files below a folder take, in whole pages."""
    sizes = (path.stat().st_size for path in root.rglob("*") if path.is_file())
    return sum(-(-size // PAGE) * PAGE for size in sizes)
