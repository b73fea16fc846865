"""Restore clips into files: each clip whole or not at all, and kept when the job is run again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.baselines.learned import learned_digest
from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError, OutputError, PartialError, RvsdBenchError, unknown
from rvsd_bench.files import (
    digest_source,
    discard,
    make_folder,
    publish_folder,
    remove_orphans,
    stage_bytes,
    write_json,
)
from rvsd_bench.isolation.confined import Confined
from rvsd_bench.jobs import Task, Track, in_process, run_tasks, untracked
from rvsd_bench.media.reading import find_clips, read_clip
from rvsd_bench.restoring.opening import Restorer
from rvsd_bench.restoring.runner import PLAIN, Way, require_way, restore
from rvsd_bench.texts import read_json

CONTAINERS = ("png", "jpg", "ffv1")


@dataclass(frozen=True)
class Output:
    """One clip of a job: where it comes from and where its restored frames go."""

    source: Path
    name: str
    target: Path
    """A folder of frames named as the input's, or a lossless video file."""

    @property
    def record(self) -> Path:
        """The JSON file that says what the target was made from; written before it."""
        return self.target.parent / f"{self.name}.json"


@dataclass(frozen=True)
class Saved:
    """What became of one clip."""

    name: str
    path: str
    frames: int
    kept: bool
    """Whether an earlier run had finished it."""


def plan_outputs(source: Path, out: Path, container: str = "png") -> list[Output]:
    """List the clips that a path means (a clip, or a folder of them) and their targets.

    Raises InputError for two clips of one name: their frames would go to one place.
    """
    if container not in CONTAINERS:
        raise unknown("container", container, CONTAINERS)
    outputs: dict[str, Output] = {}
    for path in find_clips([source]):
        name = path.resolve().name if path.is_dir() else path.stem
        if name in outputs:
            raise InputError(f"{outputs[name].source} and {path} have one name; rename one")
        target = out / (f"{name}.mkv" if container == "ffv1" else name)
        outputs[name] = Output(path, name, target)
    return list(outputs.values())


@dataclass(frozen=True)
class Restoring:
    """How the clips of a job are restored: all that a process needs to know, but the clip."""

    model: Restorer | None
    """None where it is opened anew."""
    reopen: Callable[[], Restorer] | None
    made_by: Mapping[str, Any]
    container: str
    way: Way
    device: str
    fps: float | None
    force: bool
    track: Track = untracked

    @cached_property
    def restorer(self) -> Restorer:
        """The model, opened once in each process."""
        if self.model is not None:
            return self.model
        assert self.reopen is not None
        return self.reopen()

    def travelling(self) -> Restoring:
        """Return what is sent to other processes: without the model, if it can be opened there."""
        return replace(self, model=None if self.reopen else self.model, track=untracked)

    def save(self, output: Output) -> Saved:
        """Restore one clip, unless that was done before."""
        clip = read_clip(output.source, fps=self.fps)
        record = {**self.made_by, "input": output.source.name, "frames": len(clip), "fps": clip.fps}
        record["input_sha256"] = digest_source(output.source)
        kept = not self.force and _finished(output, record)
        if not kept:
            _save(self._restored(output, clip), output, record, self.container, self.track)
        return Saved(output.name, str(output.target), len(clip), kept)

    def _restored(self, output: Output, clip: Clip) -> Clip:
        if isinstance(self.restorer, Confined):
            return self.restorer.restore(partial(read_clip, output.source, fps=clip.fps))
        return restore(self.restorer, clip, **asdict(self.way), device=self.device)


def save_restored(
    model: Restorer,
    outputs: Sequence[Output],
    *,
    method: str,
    spec: str = "",
    container: str = "png",
    way: Way = PLAIN,
    device: str = "cpu",
    fps: float | None = None,
    force: bool = False,
    reopen: Callable[[], Restorer] | None = None,
    workers: int = 1,
    executor: str = "pool",
    timeout_s: float | None = None,
    report: Callable[[str], None] = lambda line: None,
    track: Track = untracked,
) -> list[Saved]:
    """Restore every clip of a plan and return what was made and what was kept.

    `method` is what the model is called; `spec` is its id with a digest of the files that it is
    made of, which tells it from others of that name. A finished clip is kept if it was made from
    the same input in the same way; if not, InputError says what changed, unless `force`. A clip
    that fails leaves nothing behind and does not stop the others: they are finished before
    PartialError names it. The error of an only clip is raised, and OutputError as soon as
    something cannot be written. What killed runs left is removed. `workers`, `executor` and
    `timeout_s` are those of `run_tasks`; its processes get the model by `reopen`, which must be
    importable, or else sent, if it can be.
    """
    if not isinstance(model, Confined):
        require_way(model.info, way)
    made_by = {
        "method": method,
        "spec": spec,
        "learned_sha256": learned_digest(model),
        "weights_sha256": model.info.weights_sha256,
        "facts": dict(model.info.facts),
        "container": container,
        "way": asdict(way),
    }
    restoring = Restoring(model, reopen, made_by, container, way, device, fps, force, track)
    here = in_process(workers, executor, len(outputs), timeout_s)
    run = partial(run_tasks, workers=workers, executor=executor, timeout_s=timeout_s)
    run = partial(run, gpus=1 if device.startswith("cuda") else 0, report=report)
    return _all_saved(restoring if here else restoring.travelling(), outputs, run, track, here=here)


def _all_saved(
    restoring: Restoring,
    outputs: Sequence[Output],
    run: Callable[..., Any],
    track: Track,
    *,
    here: bool,
) -> list[Saved]:
    """Restore the clips; `run` is `run_tasks`, and `here` says that it keeps to this process."""
    saved: list[Saved] = []
    failures: dict[str, RvsdBenchError] = {}
    places = {output.target.parent for output in outputs}
    remove_orphans(*places)
    try:
        with closing(run(restoring.save, [Task(o.name, o) for o in outputs])) as results:
            shown = track(results, total=len(outputs), what="restoring", unit="clip")
            for output, result in zip(outputs, results if here else shown):
                if result.outcome in ("crash", "timeout") and not output.target.exists():
                    output.record.unlink(missing_ok=True)
                if isinstance(result.error, OutputError):
                    raise result.error  # the disk is full, or closed: for the others as well
                if result.error is None:
                    saved.append(result.value)
                else:
                    failures[result.id] = result.error
    finally:
        remove_orphans(*places)  # of processes that were killed
    if failures and len(outputs) == 1:
        raise next(iter(failures.values()))
    if failures:
        told = "; ".join(f"{name}: {error}" for name, error in failures.items())
        raise PartialError(f"{len(saved)} clips are done, {len(failures)} failed: {told}")
    return saved


def _finished(output: Output, record: dict[str, Any]) -> bool:
    """Return whether the target is there and was made as `record` says; refuse any other."""
    if not output.target.exists():
        return False
    try:
        found = read_json(output.record)
    except (OSError, ValueError):
        found = {}
    found = found if isinstance(found, dict) else {}
    record = json.loads(json.dumps(record))  # as it would be read: a tuple is a list there
    changed = sorted(key for key in record if found.get(key) != record[key])
    if changed:
        raise InputError(
            f"{output.target} is already there and differs in {', '.join(changed)}; "
            "choose another --out, or redo it with --force"
        )
    return True


def _save(
    restored: Clip, output: Output, record: dict[str, Any], container: str, track: Track
) -> None:
    target = output.target
    make_folder(target.parent)
    # The record comes first and the frames last: where the frames are, the record is theirs.
    discard(target)
    write_json(output.record, {**record, "version": __version__})
    frames = track(restored, total=len(restored), what=output.name)
    try:
        _write_frames(target, frames, restored, container)
    except BaseException:
        output.record.unlink(missing_ok=True)
        raise


def _write_frames(target: Path, frames: Iterable[Frame], restored: Clip, container: str) -> None:
    if container == "ffv1":
        from rvsd_bench.media.video import write_ffv1

        write_ffv1(target, frames, restored.fps)
        return
    with publish_folder(target) as folder:
        _write_pictures(folder, frames, _stems(restored), container)


def _write_pictures(
    folder: Path, frames: Iterable[Frame], stems: Sequence[str], container: str
) -> None:
    from rvsd_bench.media.images import encode_jpeg, encode_png

    encode = encode_jpeg if container == "jpg" else encode_png
    for stem, frame in zip(stems, frames, strict=True):
        stage_bytes(folder / f"{stem}.{container}", encode(frame))


def _stems(clip: Clip) -> list[str]:
    """Name frames as the input's files are named, and by their position in a video."""
    files = clip.facts.get("frames")
    if files is None:
        return [f"{index:04d}" for index in range(len(clip))]
    return [Path(name).stem for name in files]
