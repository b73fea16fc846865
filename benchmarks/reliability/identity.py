"""Make one dataset, one run of the evaluator and one set of restored clips by every executor.

Serial, pools of 1, 2 and 4 workers, Ray with 2 (where it is installed) and three shards that are
joined: each must leave the same tree, known by one SHA-256 over all paths and bytes. A pool of one
worker runs in a process of its own, since it is given a deadline.

    python benchmarks/reliability/identity.py [--clips 6]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trees import command, left_behind, make_clips, run

from rvsd_bench.files import tree_digest

SHARDS = 3
SIZE, FRAMES = (32, 48), 2


def ways(*, ray: bool) -> dict[str, list[list[str]]]:
    """Return what is added to the command, once or several times over, by the name of the way."""
    pools = {
        f"pool({count})": [["--workers", str(count), "--timeout", "900"]] for count in (1, 2, 4)
    }
    shards = [["--shard", f"{index}/{SHARDS}"] for index in range(SHARDS, 0, -1)]
    found = {"serial": [["--executor", "serial"]], **pools, f"{SHARDS} shards": shards}
    return found | ({"ray(2)": [["--executor", "ray", "--workers", "2"]]} if ray else {})


def jobs(home: Path) -> dict[str, tuple[Sequence[str | Path], bool]]:
    """Return the commands, all but where they write, and whether their shards are to be joined."""
    plain = ("--motion", "static", "--depth", "ground", "--recipe", home / "sparse.toml")
    scored = ("--data", home / "data", "--metrics", "psnr,ssim", "--device", "cpu")
    return {
        "generate": (("generate", home / "clips", *plain), False),  # the last shard joins
        "evaluate": (("evaluate", "identity", "median?k=3", *scored), True),
        "restore": (("restore", "median?k=3", home / "clips", "--device", "cpu"), False),
    }


def made(home: Path, name: str, way: str, additions: list[list[str]]) -> tuple[str, list[str]]:
    """Run a job in one way; return the digest of its tree, and what went wrong."""
    words, joined = jobs(home)[name]
    out = home / name / way.replace(" ", "-")
    commands = [[*words, "--out", out, *more] for more in additions]
    if joined and len(additions) > 1:
        commands.append(["merge", out])
    ends = [run(command(*each)) for each in commands]
    wrong = [f"exit code {end.code}: {end.err[-300:]!r}" for end in ends if end.code]
    return tree_digest(out), [*wrong, *(f"left behind {path}" for path in left_behind(out))]


def compare(home: Path, name: str, chosen: dict[str, list[list[str]]]) -> bool:
    """Print what the ways of one job leave; tell whether all is equal."""
    found = {way: made(home, name, way, additions) for way, additions in chosen.items()}
    reference = found["serial"][0]
    right = True
    for way, (digest, wrong) in found.items():
        same = digest == reference and not wrong
        right &= same
        told = "" if same else f"  DIFFERS {'; '.join(wrong)}"
        print(f"{name:9} {way:9} {digest[:16]}{told}", flush=True)
    return right


def main() -> int:
    """Print a digest a line; return 1 if two of a job differ."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--clips", type=int, default=6)
    given = parser.parse_args()
    ray = importlib.util.find_spec("ray") is not None
    if not ray:
        print("ray(2): left out, the package is not installed")
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        make_clips(home / "clips", given.clips, FRAMES, SIZE)
        (home / "sparse.toml").write_text("[tiers]\ndust_ratio = 2.0\n")
        made(home, "generate", "serial", [["--executor", "serial"]])
        (home / "generate" / "serial").rename(home / "data")
        right = [compare(home, job, ways(ray=ray)) for job in jobs(home)]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
