"""Compare the built wheel with the tree: every tracked source and data file, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

FOLDERS = {
    "rvsd_bench/": "rvsd_bench/",
    "generators/": "rvsd_bench/generators/",
    "baselines/": "rvsd_bench/baselines/",
    "leaderboard/": "rvsd_bench/leaderboard/",
}


def main(dist: Path) -> int:
    """Return 0 when the wheel in `dist` holds what git tracks in the four folders."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "-z", *FOLDERS], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    expected = {
        target + name.removeprefix(source)
        for name in tracked
        for source, target in FOLDERS.items()
        if name.startswith(source)
    }
    for name in sorted(expected - shipped):
        print(f"missing from {wheel.name}: {name}")
    for name in sorted(shipped - expected):
        print(f"not in the tree but in {wheel.name}: {name}")
    print(f"{wheel.name}: {len(shipped)} files, {len(expected)} in the tree")
    return int(shipped != expected)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
