"""Let a confined model work: it is given the snowy frames of a clip and gives its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.spec import Spec
from rvsd_bench.clip import Clip, ClipOf, Frame
from rvsd_bench.errors import InputError, ModelError, Outcome
from rvsd_bench.files import sha256_file
from rvsd_bench.isolation.cell import Cell
from rvsd_bench.isolation.cgroups import fenced, require_fence
from rvsd_bench.isolation.inside import FAILED, FRAME, LONGEST_REASON
from rvsd_bench.isolation.limits import Isolation
from rvsd_bench.isolation.sandbox import compose, require_bubblewrap

if TYPE_CHECKING:
    from rvsd_bench.restoring.runner import Way

UNASKED = "the model sent something else than it was asked for"
_LENT = "/model"


@dataclass(frozen=True)
class Confined:
    """A model that runs in processes of its own, a fresh one for each clip."""

    spec: Spec
    isolation: Isolation
    device: str = "cpu"
    way: Way | None = None
    """None: as the model itself says."""
    one_thread: bool = False
    """Whether it must compute as the evaluator does, so that its frames do not depend on cores."""

    @classmethod
    def open(cls, spec: Spec, isolation: Isolation, device: str, way: Way) -> Confined:
        """Return a model that can be run; raise MissingError if nothing can be confined here."""
        require_confinable(spec)
        return cls(spec, isolation, device, way)

    @property
    def info(self) -> ModelInfo:
        """What is known of the model without running it: its name and its file."""
        digest = sha256_file(self.spec.path) if self.spec.path else None
        return ModelInfo(self.spec.short, window=None, weights_sha256=digest)

    def restore(self, open_clip: Callable[[], Clip]) -> ConfinedClip:
        """Return a clip restored; `open_clip` opens it, for this process and for the model's."""
        return ConfinedClip(open_clip(), self, open_clip)


@dataclass(frozen=True)
class ConfinedClip(ClipOf):
    """A clip whose frames a confined process restores as they are read, always in order."""

    model: Confined
    open_clip: Callable[[], Clip]

    def __getitem__(self, index: int) -> Frame:
        """Restore the clip up to a frame and return that."""
        return next(islice(iter(self), range(len(self))[index], None))

    def __iter__(self) -> Iterator[Frame]:
        model = self.model
        job = {
            "act": "restore",
            "way": asdict(model.way) if model.way else {},
            "one_thread": model.one_thread,
            "count": len(self),
            "size": self.size,
            "fps": self.fps,
        }
        with working(model.spec, model.isolation, model.device, job, self._fed()) as cell:
            for _ in range(len(self)):
                yield self._next(cell)

    def _fed(self) -> Iterator[bytes]:
        for frame in self.open_clip():
            yield np.ascontiguousarray(frame).tobytes()

    def _next(self, cell: Cell) -> Frame:
        shape = (*self.size, 3)
        kind = cell.read(1)
        if kind == FRAME:
            data = bytearray(cell.read(int(np.prod(shape))))
            return np.frombuffer(data, np.uint8).reshape(shape)
        if kind == FAILED:
            raise cell.unfed or failure(cell.read_rest(LONGEST_REASON))
        raise ModelError(UNASKED, "invalid")


def confines(spec: Spec) -> bool:
    """Tell whether a model comes in files of its author, which are opened only where confined."""
    return spec.scheme not in ("name", "frames")


def require_confinable(spec: Spec) -> None:
    """Raise MissingError if nothing can be confined here, InputError for files that are absent."""
    for path in spec.paths:
        if not path.exists():
            raise InputError(f"{spec}: there is no file {path}")
    require_bubblewrap()
    require_fence()


@contextmanager
def working(
    spec: Spec,
    isolation: Isolation,
    device: str,
    job: Mapping[str, Any],
    fed: Iterable[bytes] = (),
) -> Iterator[Cell]:
    """Lend the confined process that does a job with a model; see `isolation.inside`."""
    own, lent = lend(spec)
    limits = isolation.limits
    told = {**job, "spec": str(own), "device": device, "tasks": limits.tasks}
    words = (sys.executable, "-I", "-m", "rvsd_bench.isolation.inside")
    command = compose(words, lent=lent, device=device, scratch_bytes=limits.scratch_bytes)
    first = json.dumps(told).encode() + b"\n"
    with fenced(command, limits) as bounded, Cell(bounded, chain([first], fed), isolation) as cell:
        yield cell


def lend(spec: Spec) -> tuple[Spec, dict[str, Path]]:
    """Return a spec whose paths are those inside, and what lies there outside."""
    lent: dict[str, Path] = {}

    def placed(path: Path) -> str:
        inside = f"{_LENT}/{len(lent)}/{path.name}"
        lent[inside] = path
        return inside

    target = placed(spec.path) if spec.path else spec.target
    attribute = f":{spec.attribute}" if spec.scheme == "py" else ""
    options = {
        key: placed(Path(value)) if Path(value) in spec.paths else value
        for key, value in spec.options.items()
    }
    return replace(spec, name=None, target=target + attribute, options=options), lent


def failure(data: bytes) -> ModelError:
    """Return what a confined process says of its own failure, as far as that can be believed."""
    try:
        found = json.loads(data)
        outcome: Outcome = found["outcome"]
        if outcome not in get_args(Outcome):
            raise ValueError(outcome)
        told = "".join(mark for mark in str(found["told"]) if mark.isprintable())
    except (ValueError, KeyError, TypeError, RecursionError):
        return ModelError(UNASKED, "invalid")
    return ModelError(told, outcome)
