"""Run a model where it is confined: frames come in by standard input and go out by standard output.

What comes first is one line of JSON, then `count` frames as raw bytes, row by row, RGB. What goes
out is for each frame a byte `FRAME` and its raw bytes or, once, `FAILED` and one line of JSON.
Nothing that goes out is to be believed: by then a stranger's code has run in this process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError

FRAME, FAILED = b"F", b"E"
LONGEST_REASON = 2000
"""Bytes of the JSON that follows `FAILED`, at most."""


@dataclass(frozen=True)
class Fed:
    """A clip that comes frame by frame and once only."""

    stream: BinaryIO
    count: int
    size: tuple[int, int]
    fps: float
    name: str = "clip"
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return np.arange(self.count) / self.fps

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Frame:
        raise InputError("the frames of this clip come in order")

    def __iter__(self) -> Iterator[Frame]:
        shape = (*self.size, 3)
        for _ in range(self.count):
            frame = np.empty(shape, np.uint8)
            if self.stream.readinto(frame.reshape(-1).data) < frame.size:  # type: ignore[attr-defined]
                raise InputError("the input ended too early")
            yield frame


def main() -> None:
    """Restore what standard input says; the model's own prints go to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_NPROC, (job["tasks"], job["tasks"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    clip = Fed(sys.stdin.buffer, job["count"], tuple(job["size"]), job["fps"])
    try:
        for frame in _restored(job, clip):
            out.write(FRAME)
            out.write(np.ascontiguousarray(frame).data)
            out.flush()
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        outcome = getattr(error, "outcome", "oom" if isinstance(error, MemoryError) else "crash")
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        text = (told.splitlines() or [""])[0][: LONGEST_REASON // 8]
        out.write(FAILED + json.dumps({"outcome": outcome, "told": text}).encode())
        out.flush()
    finally:
        os._exit(0)  # threads that the model left behind are not waited for


def _restored(job: dict[str, Any], clip: Clip) -> Iterator[Frame]:
    from rvsd_bench.baselines import load

    model = load(job["spec"], device=job["device"], trust_code=True)
    from rvsd_bench.evaluation.environment import settled
    from rvsd_bench.restoring.runner import restore

    with settled() if job["one_thread"] else nullcontext():
        yield from restore(model, clip, **job["way"], device=job["device"])


if __name__ == "__main__":
    main()
