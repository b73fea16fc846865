"""Workers that prepare batches outlive an interrupt that comes as they begin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

JOB = """
import os, signal
from rvsd_bench.training.prefetching import batches

class Feed:
    def __init__(self):
        self.tens = 10

    def __setstate__(self, state):  # in a worker, before anything of ours has run there
        self.__dict__.update(state)
        os.kill(os.getpid(), signal.SIGINT)

    def batch(self, number):
        return self.tens * number

if __name__ == "__main__":
    print([int(found) for found in batches(Feed(), 2, 6, workers=2)])
    signal.raise_signal(signal.SIGINT)
"""


def test_an_interrupt_ends_no_worker_but_the_job_itself(
    tmp_path: Path, heeds_interrupts: Callable[[], None]
) -> None:
    (tmp_path / "job.py").write_text(JOB)
    done = subprocess.run(
        [sys.executable, tmp_path / "job.py"], capture_output=True, text=True, timeout=120,
        preexec_fn=heeds_interrupts,
    )  # fmt: skip
    assert done.stdout == "[20, 30, 40, 50]\n"
    assert done.stderr.count("Traceback") == 1 and done.stderr.endswith("KeyboardInterrupt\n")
