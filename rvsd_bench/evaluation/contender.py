"""Take one method through a video: restore, compare with the truth, keep what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.columns import REGIONS, TEMPORAL
from rvsd_bench.data.dataset import Pictures
from rvsd_bench.errors import InputError, ModelError, RvsdBenchError
from rvsd_bench.evaluation.auditing import Audit
from rvsd_bench.evaluation.judging import Given, Judge
from rvsd_bench.evaluation.methods import Method, restored
from rvsd_bench.evaluation.runfiles import FrameScores, Part, read_part, write_part
from rvsd_bench.evaluation.validation import Watch, copies
from rvsd_bench.evaluation.videotask import VideoTask, stamp
from rvsd_bench.files import stage_bytes
from rvsd_bench.media.images import encode_png
from rvsd_bench.metrics.temporal import Moment, Step
from rvsd_bench.texts import writable

LONGEST_REASON = 500
"""Characters of an error that are kept; a stranger's model may say anything."""


@dataclass
class InOrder:
    """Read a clip's frames one after another, so that one damaged picture leaves the others.

    What decodes or computes its frames in order stops for good where it fails first.
    """

    clip: Clip
    lost: str = ""
    """Why no further frame comes; empty as long as frames come."""
    outcome: str = ""
    """In which way the model failed, if it did: oom, timeout, crash, invalid."""
    _frames: Iterator[Frame] | None = None

    def read(self, index: int) -> Frame:
        """Return the frame at `index`, which must be the next one."""
        if isinstance(self.clip, Pictures):
            return self.clip[index]
        if self.lost:
            raise InputError(self.lost)
        self._frames = iter(self.clip) if self._frames is None else self._frames
        try:
            return next(self._frames)
        except StopIteration:
            self.lost = f"there are only {index} frames"
            raise InputError(self.lost) from None
        except Exception as error:  # a stranger's model may raise anything
            self.lost = f"stopped at frame {index}: {told(error)}"
            self.outcome = outcome_of(error)
            raise InputError(self.lost) from error

    def close(self) -> None:
        """Let go of what decodes or computes the frames."""
        self._frames = None


@dataclass
class Contender:
    """One method on its way through the video."""

    task: VideoTask
    method: Method
    frames: InOrder | None
    """None: the video could not be opened, because of `lost`."""
    lost: str
    stamp: dict[str, str]
    earlier: Part | None
    """An earlier part, whose values hold where the pixels are equal."""
    rows: list[FrameScores] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)
    saving: Path | None = None
    """The folder that its frames are saved in, if they are."""
    outcome: str = ""
    """In which way the model failed before it began, if it did."""
    audit: Audit | None = None
    """A second run beside the first, if it is looked at whether they are equal."""
    _before: Moment | None = None
    """The frame before the next one, if it came."""

    @classmethod
    def start(
        cls,
        task: VideoTask,
        method: Method,
        snowy: Clip,
        clean: Clip | None,
        saving: Path | None = None,
    ) -> Contender:
        """Open the video as the method restores it; `saving` is a folder for its frames."""
        earlier = read_part(task.part(method))
        try:
            restoring = InOrder(restored(method, task.video, snowy, clean))
            state = stamp(method, task.video)
            audit = None
            if task.audited and method.isolation is not None:
                audit = Audit(InOrder(restored(method, task.video, snowy, clean)).read)
            return cls(task, method, restoring, "", state, earlier, saving=saving, audit=audit)
        except Exception as error:  # a stranger's model may raise anything
            outcome = outcome_of(error)
            return cls(task, method, None, told(error), {}, earlier, outcome=outcome)

    def take(self, index: int, given: Given, judges: Sequence[Judge]) -> None:
        """Restore and score the next frame."""
        frame_id = self.task.video.frame_ids[index]
        try:
            frame = self._next(index)
            _require_size(frame, given)
        except InputError as error:
            self._miss(frame_id, told(error), given)
            return
        height, width = frame.shape[:2]
        digests = pixels_sha256(frame), given.ref_sha256, given.input_sha256
        row = FrameScores(frame_id, width, height, *digests)
        now = Moment(frame)
        self._score(index, row, now, judges)
        self._before = now
        self.rows.append(row)
        self.watch.see(frame, given.clean, given.snowy if self.method.frames else None)
        if self.audit:
            self.audit.see(index, frame, given.clean)
        if self.saving:
            stage_bytes(self.saving / f"{frame_id}.png", encode_png(frame))

    def pass_over(self, index: int, reason: str) -> None:
        """Leave out a frame of the dataset that cannot be read."""
        with suppress(InputError):
            self._next(index)  # the method goes on in step
        self._miss(self.task.video.frame_ids[index], reason, None)

    def finish(self, given: Watch) -> None:
        """Write the part; `given` is what was seen of the snowy frames."""
        seen = {**self.watch.evidence(), **copies(self.rows)}
        seen |= self.audit.evidence() if self.audit else {}
        seen |= {f"input_{name}": count for name, count in given.counts.items()}
        part = Part(
            stamp=self.stamp,
            metrics=self.task.identities(),
            frames=tuple(self.rows),
            evidence=seen,
            saved_frames=self.task.frames is not None,
            outcome=self.frames.outcome if self.frames else self.outcome,
        )
        self.audit = None
        if self.frames:
            self.frames.close()
        write_part(self.task.part(self.method), part)

    def _next(self, index: int) -> Frame:
        if self.frames is None:
            raise InputError(self.lost)
        return self.frames.read(index)

    def _score(self, index: int, row: FrameScores, now: Moment, judges: Sequence[Judge]) -> None:
        held = self._held(index, row)
        step = Step(self._before, now) if self._before is not None else None
        for judge in judges:
            name = judge.card.name
            try:
                known = held.get(name) or (judge.score(now, step), judge.truth)
                row.values[name], own = known
                if own is not None:
                    row.truth[name] = own
            except Exception as error:  # it may fail on one frame, as for lack of memory
                row.errors[name] = told(error)

    def _held(self, index: int, row: FrameScores) -> dict[str, tuple[float | None, float | None]]:
        """Return the values of an earlier part that still hold, since all pixels are the same.

        Each comes with that of the truth, if it has one. What compares a frame with the one before
        it holds only where that one is the same too.
        """
        if self.earlier is None or not self._same(index, row):
            return {}
        old, now = self.earlier.frames[index], self.task.identities()
        # The regions also depend on the coverage, which is not digested, and cost next to nothing.
        same = [n for n in now if n not in REGIONS and self.earlier.metrics.get(n) == now[n]]
        if index and not self._same(index - 1, self.rows[index - 1]):
            same = [name for name in same if name not in TEMPORAL]
        return {n: (old.values[n], old.truth.get(n)) for n in same if n in old.values}

    def _same(self, index: int, row: FrameScores) -> bool:
        """Tell whether a frame, its input and its truth have the pixels of the earlier part."""
        if self.earlier is None or index >= len(self.earlier.frames):
            return False
        pixels = (
            (r.pred_sha256, r.ref_sha256, r.input_sha256) for r in (row, self.earlier.frames[index])
        )
        return len(set(pixels)) == 1

    def _miss(self, frame_id: str, reason: str, given: Given | None) -> None:
        self.watch.miss()
        self._before = None
        digests = ("", given.ref_sha256, given.input_sha256) if given else ("", "", "")
        errors = dict.fromkeys(self.task.identities(), reason)
        self.rows.append(FrameScores(frame_id, None, None, *digests, errors=errors))


def pixels_sha256(frame: Frame) -> str:
    """Return the SHA-256 of a frame's bytes in the order row, column, channel."""
    return hashlib.sha256(np.ascontiguousarray(frame).data).hexdigest()


def _require_size(frame: Frame, given: Given) -> None:
    if frame.shape != given.snowy.shape:
        raise InputError(
            f"the restored frame is {frame.shape[1]}x{frame.shape[0]}, "
            f"its input {given.snowy.shape[1]}x{given.snowy.shape[0]}"
        )


def told(error: Exception) -> str:
    """Return an error in one line of reasonable length: it stands beside every frame it befell."""
    text = str(error) if isinstance(error, RvsdBenchError) else f"{type(error).__name__}: {error}"
    if outcome := outcome_of(error):
        text = f"{outcome}: {text}"
    return writable(next(iter(text.splitlines()), "")[:LONGEST_REASON]) or type(error).__name__


def outcome_of(error: Exception) -> str:
    """Return in which way a model failed; empty where the error is not the model's."""
    return error.outcome if isinstance(error, ModelError) else ""
