"""Time `rvsd-bench --help` and `list` as whole processes, against a bare interpreter.

The floor is what Python and click alone cost in the same run; the target is 0.5 s for `--help`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 9
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import click'": ["-c", "import click"],
    "rvsd-bench --help": ["-m", "rvsd_bench", "--help"],
    "rvsd-bench list metrics": ["-m", "rvsd_bench", "list", "metrics"],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one run."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the median of several runs, taken in turn, and the ratio to the bare interpreter."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    floor = median(taken["python -c pass"])
    for name, times in taken.items():
        print(f"{name:26} {median(times):6.3f} s  {median(times) / floor:5.1f} x the interpreter")


if __name__ == "__main__":
    main()
