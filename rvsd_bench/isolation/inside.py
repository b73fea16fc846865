"""Work with a model where it is confined: a job comes by standard input, answers go to its output.

What comes first is one line of JSON; if its `act` is "restore", then `count` frames as raw bytes,
row by row, RGB. What goes out is for each frame a byte `FRAME` and its raw bytes; of "conform" and
"profile" for each row `ROW`, its length in two bytes and its JSON, and `DONE` at the end; or, once,
`FAILED` and one line of JSON. Nothing that goes out is to be believed: by then a stranger's code
has run in this process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError, lacks_memory

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from rvsd_bench.baselines.info import VideoRestorer

FRAME, ROW, DONE, FAILED = b"F", b"R", b"D", b"E"
LONGEST_REASON = 2000
"""Bytes of the JSON that follows `FAILED`, at most."""
LONGEST_TEXT = 500
"""Characters of a text in a row, at most."""


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
    """Do what standard input says; the model's own prints go to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_NPROC, (job["tasks"], job["tasks"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        for kind, data in _ACTS[job["act"]](job):
            out.write(kind)
            out.write(data)
            out.flush()
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        outcome = getattr(error, "outcome", "oom" if lacks_memory(error) else "crash")
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        text = (told.splitlines() or [""])[0][: LONGEST_REASON // 8]
        out.write(FAILED + json.dumps({"outcome": outcome, "told": text}).encode())
        out.flush()
    finally:
        os._exit(0)  # threads that the model left behind are not waited for


def _restore(job: dict[str, Any]) -> Iterator[tuple[bytes, memoryview]]:
    clip: Clip = Fed(sys.stdin.buffer, job["count"], tuple(job["size"]), job["fps"])
    model = _model(job)
    from rvsd_bench.evaluation.environment import settled
    from rvsd_bench.restoring.runner import restore

    with settled() if job["one_thread"] else nullcontext():
        for frame in restore(model, clip, **job["way"], device=job["device"]):
            yield FRAME, np.ascontiguousarray(frame).data


def _conform(job: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    model = _model(job)
    from rvsd_bench.restoring.conforming import findings

    return _rows(findings(model, device=job["device"], quick=job["quick"]))


def _profile(job: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    import torch

    from rvsd_bench.restoring.profiling import load_and_profile

    torch.set_num_threads(job["threads"])
    spec, device, way = job["spec"], job["device"], job["way"]
    return _rows([load_and_profile(spec, device=device, trust_code=True, **way)])


def _model(job: dict[str, Any]) -> VideoRestorer:
    from rvsd_bench.baselines import load

    return load(job["spec"], device=job["device"], trust_code=True)


def _rows(rows: Iterable[DataclassInstance]) -> Iterator[tuple[bytes, bytes]]:
    for row in rows:
        texts = {k: v[:LONGEST_TEXT] if isinstance(v, str) else v for k, v in asdict(row).items()}
        data = json.dumps(texts).encode()
        yield ROW, len(data).to_bytes(2) + data
    yield DONE, b""


_ACTS: Mapping[str, Callable[[dict[str, Any]], Iterator[tuple[bytes, bytes | memoryview]]]] = {
    "restore": _restore,
    "conform": _conform,
    "profile": _profile,
}


if __name__ == "__main__":
    main()
